/**
 * Recorded exchanges with providers. They lie beside the project and not in it: a clone alone has none, and the tests
 * that read them say so.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const projectRoot = resolve(import.meta.dirname, '../..');
const folder = resolve(projectRoot, '..', 'shared', 'fixtures');

/** The folder of the recordings; null where it is missing. */
export const fixturesDir: string | null = existsSync(resolve(folder, 'exchanges')) ? folder : null;

export interface ExpectedUsage {
  input_tokens: number;
  output_tokens: number;
  cached_input_tokens?: number;
  cache_write_tokens?: number;
  cache_write_5m_tokens?: number;
  cache_write_1h_tokens?: number;
  reasoning_tokens?: number;
  input_audio_tokens?: number;
  input_image_tokens?: number;
  output_audio_tokens?: number;
  output_image_tokens?: number;
}

export interface Exchange {
  id: string;
  provider: string;
  /** The route, such as `chat`, `messages`, `streamGenerateContent`. */
  api: string;
  stream: boolean;
  /** `exact`, `reframed-sse`, `reserialized-json` or `derived`. */
  fidelity: string;
  features: string[];
  request: {
    method: string;
    host: string;
    path: string;
    headers: Record<string, string>;
    body?: unknown;
    body_text?: string;
  };
  response: { status: number; headers: Record<string, string>; body: string };
  expected: {
    model: string | null;
    outcome: string;
    service_tier: string | null;
    /** null = the answer reports none. */
    usage: ExpectedUsage | null;
    server_tools: { web_searches?: number };
    /** The provider's own figure in dollars, an exact decimal. */
    cost_reported: string | number | null;
    /** Why a field cannot be relied on; not empty = do not fail on it. */
    doubts: string[];
    /** Billed in addition, each at its own model. */
    extra_passes?: { type: string; model: string; input_tokens: number; output_tokens: number }[];
  };
}

let loaded: Exchange[] | undefined;

/** Every recorded exchange by id; an empty list, and a warning, where the recordings are missing. */
export function loadExchanges(): Exchange[] {
  if (loaded !== undefined) return loaded;
  if (fixturesDir === null) {
    console.warn(`SKIPPED: no recorded exchanges at ${folder}; tests of recorded traffic do not run.`);
    return (loaded = []);
  }
  const exchanges = resolve(fixturesDir, 'exchanges');
  loaded = readdirSync(exchanges)
    .filter((name) => name.endsWith('.json'))
    .toSorted()
    .map((name) => JSON.parse(readFileSync(resolve(exchanges, name), 'utf8')) as Exchange);
  return loaded;
}
