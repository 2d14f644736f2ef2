/** `connect.*` of the contract: tools of this machine are led to the gateway, and back. */
import type { ConnectPlan, ToolId, ToolRow } from '#shared/connect.ts';
import { APP_NAME } from '#shared/defaults.ts';
import type { DialectId } from '#shared/model.ts';
import { CallError, type Call, type MachineHandlers } from '../gateway/gateway.ts';
import { diffOf, PLACEHOLDER, planFile, readdressed, standingOf, withoutOurs } from './changes.ts';
import { checkTool, whyUnserved } from './check.ts';
import { readEntries } from './edit.ts';
import {
  assertReplaceable,
  FileError,
  isOpenToOthers,
  readBytes,
  realFile,
  removeFile,
  replaceFile,
  sha256,
} from './files.ts';
import { executable, type Machine } from './machine-view.ts';
import { createConnections, type Connection, type FileRecord } from './records.ts';
import { findInstalled, impossible, toolOf, tools, type Target, type Tool } from './tools.ts';

export interface ConnectOptions {
  dataDir: string;
  home: string;
  env: NodeJS.ProcessEnv;
  platform?: NodeJS.Platform;
}

/** Of one file; null = there is none. */
interface Change {
  path: string;
  before: Buffer | null;
  after: Buffer | null;
}

interface Planned {
  how: ConnectPlan['how'];
  files: (Change & { record: FileRecord | null })[];
}

export function connectMethods(options: ConnectOptions): (call: Call) => MachineHandlers {
  return (call) => createConnect(options, call);
}

function createConnect(options: ConnectOptions, call: Call): MachineHandlers {
  const machine: Machine = {
    home: options.home,
    env: options.env,
    platform: options.platform ?? process.platform,
  };
  const connections = createConnections(options.dataDir);
  /** One change at a time: two would each take the other's writing for the person's. */
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work, work);
    last = turn.catch(() => undefined);
    return turn.catch((error: unknown) => {
      if (error instanceof FileError) throw new CallError('conflict', error.message);
      throw error;
    });
  };

  const gatewayUrl = async () => (await call('status.get', {})).gatewayUrl;

  async function targetOf(tool: Tool, secret: string, model: string | undefined): Promise<Target> {
    const providers = (await call('providers.list', {})).filter((provider) => provider.enabled);
    const dialects = new Set<DialectId>(providers.flatMap((provider) => provider.dialects));
    const target = { base: await gatewayUrl(), secret, model: null, dialects, now: new Date().toISOString() };
    if (!tool.modelPath) return target;
    const named = model ?? configuredModel(tool, target);
    if (named === null) {
      throw new CallError('invalid_input', `Name the model that ${tool.name} is to use.`, 'model');
    }
    return { ...target, model: named };
  }

  /** The model that its configuration names already. */
  function configuredModel(tool: Tool, target: Target): string | null {
    const [file] = tool.files(machine, target);
    const bytes = file && readBytes(realFile(file.path));
    if (!file || !bytes || !tool.modelPath) return null;
    const [value] = readEntries(file.format, bytes.toString('utf8'), [tool.modelPath]);
    return typeof value === 'string' && value !== '' ? value : null;
  }

  /** From the files as they would be without us, so that connecting again never takes our own entries for the person's. */
  function planWrite(tool: Tool, target: Target): Planned {
    const connection = connections.read(tool.id);
    const files = tool.files(machine, target).map((edit) => {
      const file = realFile(edit.path);
      assertReplaceable(file);
      const before = readBytes(file);
      const known = connection?.files.find((record) => record.path === file);
      const original = known ? withoutOurs(known, before).bytes : before;
      const { text, entries } = planFile({ ...edit, path: file }, original);
      const record: FileRecord = {
        path: file,
        format: edit.format,
        original: original === null ? null : original.toString('base64'),
        written: sha256(text),
        entries,
      };
      return { path: file, before, after: Buffer.from(text), record };
    });
    // A file that it used before and no longer does: what was written there goes.
    const written = new Set(files.map((file) => file.path));
    const left = (connection?.files ?? []).filter((record) => !written.has(record.path)).map(takenBack);
    return { how: 'write', files: [...files, ...left] };
  }

  function takenBack(record: FileRecord) {
    const before = readBytes(record.path);
    const { bytes, exact } = withoutOurs(record, before);
    if (!sameBytes(before, bytes)) assertReplaceable(record.path);
    return { path: record.path, before, after: bytes, record: null, exact };
  }

  function planUndo(connection: Connection): Planned {
    const files = connection.files.map(takenBack);
    return { how: files.every((file) => file.exact) ? 'restore' : 'take-out', files };
  }

  function connected(id: ToolId): Connection {
    const connection = connections.read(id);
    if (!connection || connection.gatewayUrl === null)
      throw new CallError('conflict', `${nameOf(id)} is not connected.`);
    return connection;
  }

  /** All files or none: what was written before one fails is put back. */
  function carryOut(files: readonly Change[]): void {
    const done: Change[] = [];
    try {
      for (const file of files) {
        if (sameBytes(file.before, file.after)) continue;
        put(file.path, file.after);
        done.push(file);
      }
    } catch (error) {
      for (const file of done.toReversed()) put(file.path, file.before);
      throw error;
    }
  }

  async function rowOf(tool: Tool): Promise<ToolRow> {
    const connection = connections.read(tool.id);
    const { found, version } = findInstalled(tool, machine);
    const blank = { base: '', secret: '', model: null, dialects: new Set<DialectId>(), now: '' };
    const row = {
      id: tool.id,
      name: tool.name,
      found,
      version,
      configPath: tool.files(machine, blank)[0]?.path ?? '',
      keyId: connection?.keyId ?? null,
      needsModel: tool.modelPath !== undefined,
    };
    if (!connection || connection.gatewayUrl === null) return { ...row, state: 'not-connected', why: null };
    const why = await whyChanged(tool, connection).catch((error: unknown) => {
      if (error instanceof FileError) return error.message;
      throw error;
    });
    return { ...row, state: why === null ? 'connected' : 'changed', why };
  }

  async function whyChanged(tool: Tool, connection: Connection): Promise<string | null> {
    const standings = connection.files.map((file) => standingOf(file, readBytes(file.path)));
    if (standings.some((standing) => standing !== 'ours')) {
      return standings.every((standing) => standing === 'theirs')
        ? `Its configuration no longer leads to ${APP_NAME}.`
        : `Some of what ${APP_NAME} wrote into its configuration was changed.`;
    }
    const now = await gatewayUrl();
    if (connection.gatewayUrl !== now)
      return `It is led to ${connection.gatewayUrl}, but the gateway is at ${now} now. Connect it again.`;
    const key = (await call('keys.list', {})).find((row) => row.id === connection.keyId);
    if (!key) return 'Its key was deleted. Connect it again to make another one.';
    return key.status === 'active' ? null : `Its key is ${key.status}: ${tool.name} is refused.`;
  }

  /** The key the tool had before, with a new secret, so that its usage and limit go on; else a new one. */
  async function keyFor(tool: Tool, limitNano: number | null | undefined) {
    const before = connections.read(tool.id);
    const known = (await call('keys.list', {})).find((row) => row.id === before?.keyId);
    if (!known) return call('keys.create', { name: tool.name, limitNano: limitNano ?? null });
    const rotated = await call('keys.rotate', { id: known.id });
    await call('keys.update', { id: known.id, enabled: true });
    if (limitNano !== undefined) await call('keys.setLimit', { id: known.id, limitNano });
    return rotated;
  }

  /** From the address it was led to to this one; files in which it no longer leads to us are left as they are. */
  function follow(connection: Connection, from: string, to: string): void {
    const files = connection.files.map((file) => {
      const before = readBytes(file.path);
      const moved = readdressed(file, before, from, to);
      if (!sameBytes(before, moved.bytes)) assertReplaceable(file.path);
      return { ...moved, path: file.path, before };
    });
    if (!files.some(({ leads }) => leads)) return;
    // Until all is done either address is ours, so that whatever ends the program in between can be taken back or gone on with.
    connections.write({ ...connection, files: files.map(({ during }) => during) });
    try {
      carryOut(files.map(({ path, before, bytes }) => ({ path, before, after: bytes })));
    } catch (error) {
      connections.write(connection);
      throw error;
    }
    connections.write({ ...connection, gatewayUrl: to, files: files.map(({ after }) => after) });
  }

  return {
    'connect.list': async () => [
      ...(await Promise.all(tools.map(rowOf))),
      ...impossible.map(({ id, name, program, why }) => ({
        id,
        name,
        found: executable(machine, program) !== null,
        version: null,
        configPath: '',
        state: 'cannot' as const,
        keyId: null,
        why,
        needsModel: false,
      })),
    ],

    'connect.plan': ({ tool: id, model, undo }) =>
      inTurn(async () => {
        const tool = mustWork(id);
        const planned = undo
          ? planUndo(connected(id))
          : planWrite(tool, await targetOf(tool, PLACEHOLDER, model));
        return describePlan(tool, planned, undo ? null : await whyUnserved(tool, call));
      }),

    'connect.apply': ({ tool: id, planHash, model, limitNano }) =>
      inTurn(async () => {
        const tool = mustWork(id);
        const target = await targetOf(tool, PLACEHOLDER, model);
        if (hashOfPlan(id, planWrite(tool, target)) !== planHash) throw staleness(tool);
        const before = connections.read(id);
        const { key, secret } = await keyFor(tool, limitNano);
        const planned = planWrite(tool, { ...target, secret });
        const files = planned.files.flatMap(({ record }) => record ?? []);
        connections.write({ tool: id, keyId: key.id, gatewayUrl: target.base, files });
        try {
          carryOut(planned.files);
        } catch (error) {
          // The old secret is gone; a key that nothing knows is of no use.
          connections.write(before ?? { tool: id, keyId: key.id, gatewayUrl: null, files: [] });
          await call('keys.update', { id: key.id, enabled: false });
          throw error;
        }
        return { tool: await rowOf(tool), secret: tool.entersKey ? secret : null };
      }),

    'connect.check': ({ tool: id }) => inTurn(async () => checkTool(mustWork(id), connected(id), call)),

    'connect.follow': () =>
      inTurn(async () => {
        const to = await gatewayUrl();
        const rows: ToolRow[] = [];
        for (const tool of tools) {
          const connection = connections.read(tool.id);
          const from = connection?.gatewayUrl ?? null;
          if (!connection || from === null || from === to) continue;
          let why: string | null = null;
          try {
            follow(connection, from, to);
          } catch (error) {
            // One file that is in the way keeps no other tool from its gateway.
            if (!(error instanceof FileError)) throw error;
            why = error.message;
          }
          const row = await rowOf(tool);
          rows.push(why === null ? row : { ...row, state: 'changed', why });
        }
        return rows;
      }),

    'connect.undo': ({ tool: id, planHash }) =>
      inTurn(async () => {
        const tool = mustWork(id);
        const connection = connected(id);
        const planned = planUndo(connection);
        if (planned.how === 'take-out' && planHash === undefined) {
          throw new CallError(
            'conflict',
            `The configuration of ${tool.name} was changed since it was connected, so it is not put back as it was. Look at what would be taken out of it, then disconnect.`,
          );
        }
        if (planHash !== undefined && hashOfPlan(id, planned) !== planHash) throw staleness(tool);
        carryOut(planned.files);
        connections.write({ tool: id, keyId: connection.keyId, gatewayUrl: null, files: [] });
        const key = (await call('keys.list', {})).find((row) => row.id === connection.keyId);
        if (key) await call('keys.update', { id: key.id, enabled: false });
        return { tool: await rowOf(tool), how: planned.how };
      }),
  };
}

function describePlan(tool: Tool, planned: Planned, warning: string | null): ConnectPlan {
  const open = planned.files.filter(({ path }) => planned.how === 'write' && isOpenToOthers(path));
  return {
    tool: tool.id,
    hash: hashOfPlan(tool.id, planned),
    how: planned.how,
    keyName: tool.name,
    warning,
    files: planned.files.map(({ path, before, after }) => ({
      path,
      before: before === null ? null : sha256(before),
      whole:
        before === null && after !== null ? 'created' : before !== null && after === null ? 'removed' : null,
      diff: diffOf(before, after, PLACEHOLDER),
    })),
    notes: [
      ...(planned.how === 'write' ? tool.notes : []),
      ...open.map(
        ({ path }) => `Other users of this machine may be able to read ${path}, where the key is written.`,
      ),
    ],
  };
}

/** Of the files as they are and as they would be, less the times in them: those change while a plan is looked at. */
function hashOfPlan(id: ToolId, { how, files }: Planned): string {
  const parts = files.map(({ path, before, after }) => [
    path,
    before?.toString('base64') ?? null,
    after?.toString('latin1').replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '') ?? null,
  ]);
  return sha256(JSON.stringify([id, how, parts]));
}

function staleness(tool: Tool): CallError {
  return new CallError(
    'conflict',
    `The configuration of ${tool.name} was changed just now. Look at the change again, then confirm it.`,
    'planHash',
  );
}

function mustWork(id: ToolId): Tool {
  const tool = toolOf(id);
  if (tool) return tool;
  const why = impossible.find((each) => each.id === id)?.why ?? '';
  throw new CallError('conflict', `${nameOf(id)} cannot be connected. ${why}`);
}

const nameOf = (id: ToolId) => [...tools, ...impossible].find((tool) => tool.id === id)?.name ?? id;

const sameBytes = (a: Buffer | null, b: Buffer | null) => (a === null || b === null ? a === b : a.equals(b));

function put(path: string, bytes: Buffer | null): void {
  if (bytes === null) removeFile(path);
  else replaceFile(path, bytes);
}
