/** Starting at login, hidden in the tray: by the system where Electron knows how, by a file of its own on Linux. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { app } from 'electron';
import { APP_NAME } from '#shared/defaults.ts';

/** `options` are given to the app again at login. Throws where the autostart file cannot be written. */
export function setLaunchAtLogin(enabled: boolean, options: readonly string[]): void {
  const [program, ...args] = startCommand(options);
  if (process.platform === 'linux') return setAutostart(enabled, [program, ...args]);
  // macOS registers the app's own bundle, which from a checkout is Electron's.
  if (process.platform === 'darwin' && !app.isPackaged) return;
  app.setLoginItemSettings({ openAtLogin: enabled, path: program, args });
}

/** macOS passes no arguments on, but tells. */
export function wasStartedAtLogin(): boolean {
  return process.platform === 'darwin' && app.getLoginItemSettings().wasOpenedAtLogin;
}

function startCommand(options: readonly string[]): [string, ...string[]] {
  if (!app.isPackaged) return [process.execPath, app.getAppPath(), '--hidden', ...options];
  // An AppImage is unpacked to another place at each start; the variable names the file itself.
  return [process.env['APPIMAGE'] ?? process.execPath, '--hidden', ...options];
}

/** Desktop Application Autostart Specification; quoting after the Desktop Entry Specification, "The Exec key". */
function setAutostart(enabled: boolean, command: readonly string[]): void {
  const base = process.env['XDG_CONFIG_HOME'];
  const config = base !== undefined && path.isAbsolute(base) ? base : path.join(homedir(), '.config');
  const file = path.join(config, 'autostart', 'faregate.desktop');
  if (!enabled) return rmSync(file, { force: true });
  mkdirSync(path.dirname(file), { recursive: true });
  const exec = command.map(quote).join(' ');
  writeFileSync(file, `[Desktop Entry]\nType=Application\nName=${APP_NAME}\nExec=${exec}\nTerminal=false\n`);
}

function quote(argument: string): string {
  // Escaped twice: once for the quoted argument, once for the value of the key. A percent sign starts a field code.
  const quoted = argument
    .replaceAll(/["`$\\]/g, '\\$&')
    .replaceAll('\\', '\\\\')
    .replaceAll('%', '%%');
  return `"${quoted}"`;
}
