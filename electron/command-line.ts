/** The command line without Electron, begun by cli.ts. Without a command it is the headless gateway, whose options it takes. */
import { homedir } from 'node:os';
import packageJson from '../package.json' with { type: 'json' };
import { namesCommand, runCommandLine } from './commands/index.ts';

// Whatever is created from here on, the database and the log among it, is its owner's alone.
process.umask(0o077);
// The reader of our output may go away; that is no reason to stop metering.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

const args = process.argv.slice(2);
const ofGateway = !namesCommand(args) && (args[0]?.startsWith('-') ?? true);
const code = await runCommandLine(ofGateway ? ['gateway', ...args] : args, {
  env: process.env,
  home: homedir(),
  version: packageJson.version,
  programDir: import.meta.dirname,
  self: [process.execPath, process.argv[1] ?? ''],
  print: (text) => process.stdout.write(`${text}\n`),
  complain: (text) => process.stderr.write(`faregate: ${text}\n`),
});
// Nothing may keep the process from here on; what was written has to leave first.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
