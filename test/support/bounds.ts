/** The bound of a body's input in tokens, apart from what its price makes of it. */
import type { DialectId } from '#shared/model.ts';
import { scanObject } from '../../electron/gateway/base/json.ts';
import { dialects } from '../../electron/gateway/dialects/index.ts';
import type { Price } from '../../electron/gateway/pricing/cost.ts';
import { boundOf, type Bound } from '../../electron/gateway/proxy/bound.ts';

/** A nano-dollar a token of input and nothing else, so that the bound in money is the bound in tokens. */
const inputAlone: Price = {
  source: 'test',
  guessed: false,
  rates: { input: { base: 1_000_000, steps: [] } },
  webSearches: null,
  requests: null,
};

export function boundOfBody(
  id: DialectId,
  body: Buffer,
  path: { model: string | null; stream: boolean } = { model: null, stream: false },
  price: Price = inputAlone,
  atVendor = false,
): Bound {
  const fields = scanObject(body);
  if (fields === null) throw new Error('the body is no object');
  const facts = dialects[id].read(fields, path);
  return boundOf({
    facts,
    model: facts.model ?? '',
    price,
    priceOf: () => null,
    bodyBytes: body.length,
    atVendor,
    embeds: id.endsWith('embeddings'),
    clampsSearches: true,
    ratio: 1,
  });
}

/** Input tokens, those that hosted searches may bring included. */
export function inputBound(
  id: DialectId,
  body: Buffer,
  path?: { model: string | null; stream: boolean },
  atVendor?: boolean,
): number {
  const { fixedNano, searches, searchNano } = boundOfBody(id, body, path, inputAlone, atVendor);
  return fixedNano + searches * searchNano;
}
