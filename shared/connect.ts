/** Connecting tools: the shapes of `connect.*` in the contract. */
import * as z from 'zod';

export const toolIds = [
  'claude-code',
  'codex',
  'gemini-cli',
  'opencode',
  'cline',
  'continue',
  'aider',
  'zed',
  'cursor',
] as const;
export const ToolId = z.enum(toolIds);
export type ToolId = z.infer<typeof ToolId>;

/** `changed`: it was connected, and its configuration or its key is no longer what was written. */
export const ToolState = z.enum(['not-connected', 'connected', 'changed', 'cannot']);

export const ToolRow = z.object({
  id: ToolId,
  name: z.string(),
  /** Its program or its configuration is on this machine. */
  found: z.boolean(),
  version: z.string().nullable(),
  /** The first file that is written; empty where it cannot be connected. */
  configPath: z.string(),
  state: ToolState,
  /** The gateway key that was made for it; null where there is none. */
  keyId: z.string().nullable(),
  /** What is wrong, or why it cannot be connected. */
  why: z.string().nullable(),
  /** A model has to be named when it is connected. */
  needsModel: z.boolean(),
});
export type ToolRow = z.infer<typeof ToolRow>;

export const DiffLine = z.object({ kind: z.enum(['same', 'add', 'remove', 'gap']), text: z.string() });
export type DiffLine = z.infer<typeof DiffLine>;

export const ConnectPlan = z.object({
  tool: ToolId,
  /** Of what is planned and of the files as they are: what is done is what was shown. */
  hash: z.string(),
  /** `write`: entries are written; `restore`: the files get their bytes back; `take-out`: only our entries are removed. */
  how: z.enum(['write', 'restore', 'take-out']),
  keyName: z.string(),
  /** Why it would not work as things are; null where nothing is in its way. */
  warning: z.string().nullable(),
  files: z.array(
    z.object({
      path: z.string(),
      /** SHA-256 of the file as it is; null where there is none. */
      before: z.string().nullable(),
      /** The file is made, or removed again. */
      whole: z.enum(['created', 'removed']).nullable(),
      /** Secrets in it are masked. */
      diff: z.array(DiffLine),
    }),
  ),
  notes: z.array(z.string()),
});
export type ConnectPlan = z.infer<typeof ConnectPlan>;
