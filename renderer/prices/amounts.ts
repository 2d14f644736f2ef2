/** Prices as the tables show them. */
import type { PriceAmounts } from '#shared/model.ts';
import { formatCount } from '../format.ts';
import { strings } from '../strings.ts';

const words = strings.prices;

/** As it was typed, with cents: `$3.00`, `$0.125`. */
export function dollars(amount: string | undefined): string {
  if (amount === undefined) return '';
  const [, whole = '', fraction = ''] = /^(\d*)\.?(\d*)$/.exec(amount) ?? [];
  return whole + fraction === '' ? `$${amount}` : `$${whole || '0'}.${fraction.padEnd(2, '0')}`;
}

/** What the three main columns leave out, in a line. */
export function otherAmounts(amounts: PriceAmounts): string {
  const others = ['cacheWrite', 'cacheWrite1h', 'perRequest', 'webSearch'] as const;
  const parts = others.flatMap((each) => {
    const amount = amounts[each];
    return amount === undefined ? [] : [`${words[each]} ${dollars(amount)}`];
  });
  const tiers = (amounts.tiers ?? []).map(tierText);
  return [...parts, ...tiers].join(', ');
}

export function tierText(tier: NonNullable<PriceAmounts['tiers']>[number]): string {
  const parts = (['input', 'cachedInput', 'cacheWrite', 'cacheWrite1h', 'output'] as const).flatMap(
    (each) => {
      const amount = tier[each];
      return amount === undefined ? [] : [`${words[each]} ${dollars(amount)}`];
    },
  );
  return `${words.tierAbove(formatCount(tier.above))}: ${parts.join(', ')}`;
}

export function amountsText({ input, output }: PriceAmounts): string {
  return words.amounts(dollars(input), dollars(output));
}
