/** What the desktop app remembers about itself: where the window stood, and what the person was told already. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface WindowBounds {
  x: number;
  y: number;
  width: number;
  height: number;
  maximized: boolean;
}

export interface DesktopState {
  bounds: WindowBounds | null;
  /** Names of the notices that are shown once and were. */
  told: string[];
  /** When a newer version was last looked for, in milliseconds since the epoch. */
  updateCheckedAt: number;
}

export interface DesktopStateFile {
  get(): DesktopState;
  update(change: Partial<DesktopState>): void;
  /** Runs `tell` the first time it is asked under this name on this machine. */
  once(name: string, tell: () => void): void;
  wasTold(name: string): boolean;
}

/** Nothing here is worth a failure: what cannot be read or written is forgotten. */
export function openDesktopState(dataDir: string): DesktopStateFile {
  const file = path.join(dataDir, 'desktop.json');
  let state = read(file);
  const update = (change: Partial<DesktopState>) => {
    state = { ...state, ...change };
    try {
      writeFileSync(`${file}.new`, JSON.stringify(state));
      renameSync(`${file}.new`, file);
    } catch {
      // The next change tries again.
    }
  };
  return {
    get: () => state,
    update,
    wasTold: (name) => state.told.includes(name),
    once(name, tell) {
      if (state.told.includes(name)) return;
      update({ told: [...state.told, name] });
      tell();
    },
  };
}

function read(file: string): DesktopState {
  const fresh: DesktopState = { bounds: null, told: [], updateCheckedAt: 0 };
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value !== 'object' || value === null) return fresh;
    return {
      bounds: 'bounds' in value ? asBounds(value.bounds) : null,
      told:
        'told' in value && Array.isArray(value.told)
          ? value.told.filter((name) => typeof name === 'string')
          : [],
      updateCheckedAt:
        'updateCheckedAt' in value && isWhole(value.updateCheckedAt) ? value.updateCheckedAt : 0,
    };
  } catch {
    return fresh;
  }
}

function asBounds(value: unknown): WindowBounds | null {
  if (typeof value !== 'object' || value === null) return null;
  const { x, y, width, height, maximized } = value as Record<keyof WindowBounds, unknown>;
  if (!isWhole(x) || !isWhole(y) || !isWhole(width) || !isWhole(height)) return null;
  return { x, y, width, height, maximized: maximized === true };
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
