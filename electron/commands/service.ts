/** `faregate service`: the headless gateway as a service of the person's own session, systemd's or launchd's. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseDataDir } from '../options.ts';
import { CommandError, readArguments, UsageError, type Command, type Context } from './command.ts';

const help = `Usage: faregate service install|uninstall|print [--port N] [--data-dir DIR]

Runs the gateway without a window from login on, for this user alone: a systemd user unit on Linux, a launchd agent on
macOS. 'print' shows the file that 'install' writes. The desktop application and the service share the data folder; only
one of them runs at a time.

  --port N         port of the gateway (default: the one of the settings)
  --data-dir DIR   the data folder
  --help           show this text
`;

interface Service {
  file: string;
  text: string;
  start: readonly (readonly string[])[];
  stop: readonly (readonly string[])[];
}

export const serviceCommand: Command = {
  summary: 'run the gateway from login on, as a systemd or launchd service',
  help,
  async run(args, context) {
    const { values, positionals } = readArguments(
      args,
      { 'data-dir': { type: 'string' }, port: { type: 'string' } },
      { min: 1, max: 1 },
    );
    const command = [
      ...context.self,
      'gateway',
      ...(values.port === undefined ? [] : ['--port', values.port]),
      ...(values['data-dir'] === undefined ? [] : ['--data-dir', parseDataDir(values['data-dir'])]),
    ];
    const service = describeService(command, context);
    switch (positionals[0]) {
      case 'print':
        context.print(service.text.trimEnd());
        return 0;
      case 'install':
        mkdirSync(path.dirname(service.file), { recursive: true });
        writeFileSync(service.file, service.text);
        context.print(`Wrote ${service.file}`);
        return run(service.start, context) ? 0 : 1;
      case 'uninstall': {
        if (!existsSync(service.file)) throw new CommandError(`There is no ${service.file}.`);
        const stopped = run(service.stop, context);
        rmSync(service.file);
        context.print(`Removed ${service.file}`);
        return stopped ? 0 : 1;
      }
      default:
        throw new UsageError(`Unknown action '${positionals[0] ?? ''}'.`);
    }
  },
};

/** Runs each in turn; where one cannot be run, says which are left to do by hand. */
function run(commands: readonly (readonly string[])[], { complain, env }: Context): boolean {
  for (const [index, [program = '', ...args]] of commands.entries()) {
    const { status, error, stderr } = spawnSync(program, args, { env, encoding: 'utf8' });
    if (status === 0) continue;
    const left = commands.slice(index).map((words) => `  ${words.join(' ')}`);
    complain(
      `${(stderr || error?.message || '').trim()}\nThis could not be done here. By hand:\n${left.join('\n')}`,
    );
    return false;
  }
  return true;
}

function describeService(command: readonly string[], { home, env }: Context): Service {
  if (process.platform === 'darwin') return launchAgent(command, home);
  if (process.platform === 'win32') {
    throw new CommandError(
      'On Windows let Task Scheduler start it at log on: ' +
        `schtasks /Create /SC ONLOGON /TN Faregate /TR "${command.map((word) => `\\"${word}\\"`).join(' ')}". ` +
        'Or switch on "Start Faregate when you log in" in the settings of the app.',
    );
  }
  return systemdUnit(command, home, env);
}

/** systemd.service(5), systemd.unit(5); quoting as in systemd.syntax(7), where `%` and `$` have a meaning of their own. */
function systemdUnit(command: readonly string[], home: string, env: NodeJS.ProcessEnv): Service {
  const configured = env['XDG_CONFIG_HOME'];
  const base =
    configured !== undefined && path.isAbsolute(configured) ? configured : path.join(home, '.config');
  const quote = (word: string) =>
    `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;
  const text = `[Unit]
Description=Faregate, a local gateway to language models that meters what they cost

[Service]
Type=exec
ExecStart=${command.map(quote).join(' ')}
# Running requests are settled within 5 s of the signal.
TimeoutStopSec=10
Restart=on-failure
RestartSec=5
# 2 = the command line is wrong: starting again cannot mend it.
RestartPreventExitStatus=2
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy=default.target
`;
  return {
    file: path.join(base, 'systemd', 'user', 'faregate.service'),
    text,
    start: [
      ['systemctl', '--user', 'daemon-reload'],
      ['systemctl', '--user', 'enable', '--now', 'faregate.service'],
    ],
    stop: [['systemctl', '--user', 'disable', '--now', 'faregate.service']],
  };
}

/** launchd.plist(5). */
function launchAgent(command: readonly string[], home: string): Service {
  const label = 'app.faregate.gateway';
  const escape = (word: string) =>
    word.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  const file = path.join(home, 'Library', 'LaunchAgents', `${label}.plist`);
  const words = command.map((word) => `    <string>${escape(word)}</string>`).join('\n');
  const text = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${label}</string>
  <key>ProgramArguments</key>
  <array>
${words}
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ProcessType</key>
  <string>Background</string>
  <key>ExitTimeOut</key>
  <integer>10</integer>
</dict>
</plist>
`;
  const domain = `gui/${process.getuid?.() ?? 501}`;
  return {
    file,
    text,
    start: [['launchctl', 'bootstrap', domain, file]],
    stop: [['launchctl', 'bootout', `${domain}/${label}`]],
  };
}
