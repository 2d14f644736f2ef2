/** The command line as a test gives it: the built program as a process of its own, or the commands in the test's process. */
import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { runCommandLine } from '../../electron/commands/index.ts';
import { projectRoot, temporaryFolder } from './gateway.ts';

export interface Ended {
  /** The name of the signal where one ended it. */
  code: number | string;
  stdout: string;
  stderr: string;
}

export interface Started {
  child: ChildProcessByStdio<null, Readable, Readable>;
  /** What it has written so far. */
  output: { stdout: string; stderr: string };
  ended: Promise<Ended>;
}

export const builtProgram = join(projectRoot, 'dist', 'cli.js');

/** Starts the built program. The caller ends it where the test may stop before it does. */
export function startCommand(args: readonly string[], options: { env?: NodeJS.ProcessEnv } = {}): Started {
  const child = spawn(process.execPath, [builtProgram, ...args], {
    cwd: projectRoot,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  const ended = once(child, 'close').then(([code, signal]): Ended => ({
    code: (code ?? signal) as number | string,
    ...output,
  }));
  return { child, output, ended };
}

export interface CommandStage {
  /** An empty folder, and in it the place of a data folder, which is not made. */
  begin(): { folder: string; dataDir: string };
  /** As a process: for what starts others, hears signals, or is about the process itself. */
  start: typeof startCommand;
  /** Kills what still runs, and removes the folder. */
  end(): Promise<void>;
}

/** What the tests of a file need to give commands, one test after the other. */
export function commandStage(): CommandStage {
  const started: ChildProcess[] = [];
  let folder = '';
  return {
    begin() {
      folder = temporaryFolder();
      return { folder, dataDir: join(folder, 'data') };
    },
    start(...given) {
      const command = startCommand(...given);
      started.push(command.child);
      return command;
    },
    async end() {
      for (const child of started.splice(0)) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Runs a command as `electron/command-line.ts` does, without the third of a second that a process takes to start. Not for what
 * starts programs or listens for signals: those have this process' own.
 */
export async function runCommand(
  args: readonly string[],
  { env = {} }: { env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  const output = { stdout: '', stderr: '' };
  const code = await runCommandLine(args, {
    env: { ...process.env, ...env },
    home: env['HOME'] ?? homedir(),
    version: '0.0.0-test',
    programDir: join(projectRoot, 'dist'),
    self: [process.execPath, builtProgram],
    print: (text) => (output.stdout += `${text}\n`),
    complain: (text) => (output.stderr += `faregate: ${text}\n`),
  });
  return { code, ...output };
}
