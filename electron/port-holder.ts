/** Which program listens on a port, as far as the system's own tools tell it to this user. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface PortHolder {
  /** null where only the number of the process is known, as for a process of another user. */
  name: string | null;
  pid: number;
}

/** A tool that hangs must not keep the person from the question it is asked for. */
const TOOL_MS = 2_000;

/** null where that cannot be known. Never rejects. */
export async function findPortHolder(
  port: number,
  platform: NodeJS.Platform = process.platform,
): Promise<PortHolder | null> {
  if (platform === 'win32') {
    const pid = parseNetstat(await output('netstat', ['-ano', '-p', 'tcp']), port);
    if (pid === null) return null;
    const list = await output('tasklist', ['/fi', `PID eq ${pid}`, '/fo', 'csv', '/nh']);
    return { pid, name: parseTasklist(list) };
  }
  if (platform === 'linux') {
    const found = parseSs(await output('ss', ['-ltnpH', `sport = :${port}`]));
    if (found) return found;
  }
  return parseLsof(await output('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc']));
}

export function describePortHolder({ name, pid }: PortHolder): string {
  return name === null ? `process ${pid}` : `${name} (process ${pid})`;
}

/** Where the tool is missing or fails there is nothing to read. */
async function output(program: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args, { timeout: TOOL_MS, windowsHide: true });
    return stdout;
  } catch {
    return '';
  }
}

/** `ss -p`: `users:(("node",pid=4123,fd=20))` at the end of a line. */
export function parseSs(text: string): PortHolder | null {
  const [, name, pid] = /users:\(\("((?:[^"\\]|\\.)*)",pid=(\d+)/.exec(text) ?? [];
  return pid === undefined ? null : { name: name ?? null, pid: Number(pid) };
}

/** `lsof -F pc`: a line a field, `p` with the process, `c` with its command. */
export function parseLsof(text: string): PortHolder | null {
  const [, pid] = /^p(\d+)$/m.exec(text) ?? [];
  const [, name] = /^c(.+)$/m.exec(text) ?? [];
  return pid === undefined ? null : { name: name ?? null, pid: Number(pid) };
}

/** The state's word is translated by Windows; that a listener has no peer, port 0, is not. */
export function parseNetstat(text: string, port: number): number | null {
  for (const line of text.split(/\r?\n/)) {
    const [protocol, local = '', peer = '', , pid = ''] = line.trim().split(/\s+/);
    if (protocol === 'TCP' && local.endsWith(`:${port}`) && peer.endsWith(':0') && /^\d+$/.test(pid))
      return Number(pid);
  }
  return null;
}

/** `"node.exe","4123","Console","1","45,000 K"`; a sentence where there is no such process. */
export function parseTasklist(text: string): string | null {
  return /^\s*"([^"]+)","\d+"/.exec(text)?.[1] ?? null;
}
