/** Why a cost is an estimate, in sentences. The gateway freezes a short reason with the row; a new one is shown as it is. */
import { items } from './activity.ts';

const itemName = (name: string) => (items[name] ?? name).toLowerCase();

const sentences: readonly [prefix: string, sentence: (rest: string) => string][] = [
  [
    'no price of its own: ',
    (name) => `The price has none of its own for ${itemName(name)}; the related one was used.`,
  ],
  [
    'no price: ',
    (what) =>
      what in items
        ? `No price is known for ${itemName(what)}, so it is not in the cost.`
        : `No price is known for ${what}, which ran inside the request; it was counted at the price of the model asked for.`,
  ],
  ['a guessed price: ', (model) => `The maker of ${model}, and so its price, was guessed from its name.`],
  [
    'service tier as asked for: ',
    (tier) => `The answer does not name its service tier; it was billed as asked for, ${tier}.`,
  ],
  ['price of the service tier: ', (tier) => `The price of the service tier ${tier} is assumed.`],
  ['price of the region', () => 'What the region adds to the price is assumed.'],
  [
    'may be less than computed: ',
    (name) => `Not every ${itemName(name)} may be billed, so the cost may be less.`,
  ],
  [
    'size of the search context',
    () => 'The answer does not say how large its search context was; the smallest was billed.',
  ],
  ['no input was counted', () => 'The provider counted no input, which no request is without.'],
  ['a tool whose fee is not known', () => 'It used a tool of the provider whose fee is not known.'],
  [
    'how much of the images was cached',
    () => 'The answer does not say how much of the cached input was images.',
  ],
  ['sources disagree: ', (what) => `The price is not certain: ${what}.`],
  ['sources disagree above ', (rest) => `Published prices disagree above ${rest}.`],
];

export function doubtText(doubt: string): string {
  const found = sentences.find(([prefix]) => doubt.startsWith(prefix));
  return found ? found[1](doubt.slice(found[0].length)) : doubt;
}
