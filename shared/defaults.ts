/** Values that more than one part needs to agree on. */
import type { Settings } from './model.ts';

export const APP_NAME = 'Faregate';
export const DEFAULT_PORT = 3273;
export const LOOPBACK = '127.0.0.1';
/** From here on, ten cents, requests can be found by what they cost: an index has them apart (migration 9). */
export const DEAR_NANO = 100_000_000;

export const defaultSettings: Settings = {
  port: DEFAULT_PORT,
  launchAtLogin: false,
  thresholds: [80, 95, 100],
  loopBrake: { requests: 30, seconds: 60, agentsOnly: true },
  theme: 'system',
  // Off: without the person's word nothing is sent anywhere but to the providers they added.
  priceUpdates: false,
  appUpdates: false,
  notices: true,
  keepRunning: true,
};

/** Share of a limit, in percent, from which a key counts as near it. */
export const NEAR_LIMIT_PERCENT = 80;
