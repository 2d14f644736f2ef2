/** What the desktop app remembers about itself: where the window stood, and what the person was told already. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

const WindowBounds = z.object({
  x: z.int(),
  y: z.int(),
  width: z.int(),
  height: z.int(),
  maximized: z.boolean().catch(false),
});
export type WindowBounds = z.infer<typeof WindowBounds>;

/** Each part by itself: what cannot be understood of one leaves the others as they are. */
const DesktopState = z.object({
  bounds: WindowBounds.nullable().catch(null),
  /** Names of the notices that are shown once and were. */
  told: z.array(z.string()).catch([]),
  /** When a newer version was last looked for, in milliseconds since the epoch. */
  updateCheckedAt: z.int().catch(0),
});
export type DesktopState = z.infer<typeof DesktopState>;

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
  try {
    return DesktopState.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    // The first start, or a file that was cut off: see above.
    return DesktopState.parse({});
  }
}
