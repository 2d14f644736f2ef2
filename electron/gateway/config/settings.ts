/** What a person has set, over the defaults. */
import { defaultSettings } from '#shared/defaults.ts';
import { Settings } from '#shared/model.ts';
import type { Store } from '../store/store.ts';

export interface SettingsStore {
  get(): Settings;
  set(change: { [Name in keyof Settings]?: Settings[Name] | undefined }): Settings;
  /** Whether the person has paused the gateway: kept beside the settings, and over a restart. */
  paused(): boolean;
  setPaused(paused: boolean): void;
}

const PAUSED = 'gateway.paused';

export const PAUSED_SENTENCE = 'Faregate is paused, so no request is served. Press Resume in Faregate.';

export function createSettings(store: Store): SettingsStore {
  const { db } = store;
  const stored = db.prepare<[], { name: string; value: string }>('SELECT name, value FROM settings').all();
  let settings: Settings = { ...defaultSettings };
  for (const { name, value } of stored) {
    // A value that no longer fits (edited by hand, or of another version) is the default again, not a failed start.
    const merged = Settings.safeParse({ ...settings, [name]: parseJson(value) });
    if (merged.success) settings = merged.data;
  }
  const save = db.prepare(
    'INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  );

  let paused = stored.some(({ name, value }) => name === PAUSED && value === 'true');

  return {
    paused: () => paused,
    setPaused(next) {
      store.write(() => save.run(PAUSED, JSON.stringify(next)));
      paused = next;
    },
    get: () => settings,
    set(change) {
      const given = Object.entries(change).filter(([, value]) => value !== undefined);
      const next = Settings.parse({ ...settings, ...Object.fromEntries(given) });
      store.write(() => {
        for (const [name, value] of given) save.run(name, JSON.stringify(value));
      });
      settings = next;
      return settings;
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
