/** Whether a connected tool would be served: asked with its own address and key, by a request that costs nothing. */
import type { Call } from '../gateway/gateway.ts';
import { readEntries } from './edit.ts';
import { readBytes } from './files.ts';
import type { Connection } from './records.ts';
import type { Tool } from './tools.ts';

const CHECK_MS = 15_000;
const SECRET = /sk-fg-[0-9A-Za-z]{43}/;

const probes = {
  openai: { path: '/v1/models', headers: (key: string) => ({ authorization: `Bearer ${key}` }) },
  anthropic: {
    path: '/v1/models?limit=1000',
    headers: (key: string) => ({ authorization: `Bearer ${key}`, 'anthropic-version': '2023-06-01' }),
  },
  gemini: { path: '/v1beta/models', headers: (key: string) => ({ 'x-goog-api-key': key }) },
} as const;

/** Why none of its requests would be served, whatever is written into its configuration; null where they would be. */
export async function whyUnserved(tool: Tool, call: Call): Promise<string | null> {
  const providers = (await call('providers.list', {})).filter((provider) => provider.enabled);
  return providers.some(({ dialects }) => dialects.some((dialect) => tool.needs.includes(dialect)))
    ? null
    : `No enabled provider speaks the protocol of ${tool.name}. Add one under Providers.`;
}

export async function checkTool(
  tool: Tool,
  connection: Connection,
  call: Call,
): Promise<{ ok: boolean; message: string }> {
  const bad = (message: string) => ({ ok: false, message });
  const unserved = await whyUnserved(tool, call);
  if (unserved !== null) return bad(unserved);
  if (tool.entersKey) {
    return bad(`${tool.name} keeps the key where it cannot be checked from here: send it a first message.`);
  }
  const secret = SECRET.exec(connection.files.map(entriesOf).join('\n'))?.[0];
  if (secret === undefined)
    return bad(`The key is not in the configuration of ${tool.name} any more. Connect it again.`);
  const { path, headers } = probes[tool.probe];
  try {
    const response = await fetch(new URL(path, connection.gatewayUrl ?? ''), {
      headers: headers(secret),
      redirect: 'error',
      signal: AbortSignal.timeout(CHECK_MS),
    });
    const answer: unknown = await response.json();
    if (!response.ok)
      return bad(`The gateway refused it: ${messageIn(answer) ?? `status ${response.status}`}`);
    return { ok: true, message: `The gateway answered ${tool.name}'s key with ${modelsIn(answer)} models.` };
  } catch {
    return bad(
      `The gateway cannot be reached at ${connection.gatewayUrl ?? 'its address'}. Start it, then check again.`,
    );
  }
}

/** What stands in our entries now, as text. */
function entriesOf({ path, format, entries }: Connection['files'][number]): string {
  const bytes = readBytes(path);
  if (!bytes) return '';
  try {
    return JSON.stringify(
      readEntries(
        format,
        bytes.toString('utf8'),
        entries.map((entry) => entry.path),
      ),
    );
  } catch {
    return '';
  }
}

function modelsIn(answer: unknown): number {
  if (typeof answer !== 'object' || answer === null) return 0;
  const list: unknown = 'data' in answer ? answer.data : 'models' in answer ? answer.models : [];
  return Array.isArray(list) ? list.length : 0;
}

function messageIn(answer: unknown): string | null {
  if (typeof answer !== 'object' || answer === null || !('error' in answer)) return null;
  const { error } = answer;
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : null;
}
