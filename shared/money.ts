/**
 * Money. Every amount in Faregate is a whole number of nano-dollars (1 USD = 10^9), so that sums are exact and
 * a token that costs $0.0000000375 still has a price. Dollars as text exist only where a person reads or types them.
 */

/** Whole nano-dollars. A safe integer: up to about nine million dollars. */
export type Nano = number;

export const NANO_PER_USD = 1_000_000_000;

/** The largest limit a person can set; well inside the safe integers so that sums of many keys stay exact. */
export const MAX_LIMIT_NANO = 1_000_000 * NANO_PER_USD;

/**
 * More than any one request can cost: a hundred times the dearest model's whole window. What a provider makes of a
 * mistake beyond it, a few times over, would leave the whole numbers in every sum.
 */
export const MAX_COST_NANO = 10_000 * NANO_PER_USD;

/** Throws where arithmetic has left the whole numbers: a wrong sum must never be stored quietly. */
export function assertNano(value: number): Nano {
  if (!Number.isSafeInteger(value)) throw new RangeError(`not a whole number of nano-dollars: ${value}`);
  return value;
}

/** Reads a decimal such as `0.15` or `6e-8` as an exact count of 10^-9; null where it is not a finite decimal. */
export function decimalToNano(value: string | number): bigint | null {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,3}))?$/i.exec(String(value).trim());
  if (!match) return null;
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  if (whole === '' && fraction === '') return null;
  const digits = BigInt(whole + fraction);
  const shift = 9 - fraction.length + Number(exponent);
  const scaled = shift >= 0 ? digits * 10n ** BigInt(shift) : divideHalfUp(digits, 10n ** BigInt(-shift));
  return sign === '-' ? -scaled : scaled;
}

/** Integer division of non-negative numbers, rounded half up. */
export function divideHalfUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend * 2n + divisor) / (divisor * 2n);
}

/** Dollars as a provider reports them (`0.000123`, `1e-7`) to nano-dollars; null where it is no amount. */
export function usdToNano(value: unknown): Nano | null {
  if (typeof value !== 'number' && typeof value !== 'string') return null;
  const nano = decimalToNano(value);
  if (nano === null || nano < 0n || nano > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  return Number(nano);
}

export type ParsedAmount = { ok: true; nano: Nano | null } | { ok: false; message: string };

/**
 * What a person typed into a limit field: `10`, `$10.00`, `1,000.50`, `0.005`; empty is null (no limit).
 * Anything else is refused with a sentence that says what to type.
 */
export function parseAmount(text: string): ParsedAmount {
  // Digits of other widths, as an East Asian keyboard writes them, are the same digits.
  const typed = text.normalize('NFKC').trim();
  if (typed === '') return { ok: true, nano: null };
  const bare = typed.replace(/^\$\s*/, '').replace(/\s*(usd)?$/i, '');
  if (bare.startsWith('-') || typed.startsWith('-'))
    return { ok: false, message: 'A limit cannot be negative.' };
  // A comma is accepted where it separates thousands; `10,50` could mean two things and is asked about.
  if (!/^(\d+|\d{1,3}(,\d{3})+)?(\.\d*)?$/.test(bare) || !/\d/.test(bare)) {
    const cents = /^(\d+),(\d{1,2})$/.exec(bare);
    if (cents) return { ok: false, message: `Write cents with a point: ${cents[1]}.${cents[2]}.` };
    return {
      ok: false,
      message: 'Enter an amount in dollars such as 10.00, or leave it empty for no limit.',
    };
  }
  const [whole = '', fraction = ''] = bare.replaceAll(',', '').split('.');
  if (fraction.replace(/0+$/, '').length > 9) {
    return { ok: false, message: 'Use at most nine digits after the point.' };
  }
  const nano = BigInt(whole || '0') * BigInt(NANO_PER_USD) + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
  if (nano > BigInt(MAX_LIMIT_NANO)) {
    return {
      ok: false,
      message: `Enter at most ${formatLimit(MAX_LIMIT_NANO)}, or leave it empty for no limit.`,
    };
  }
  return { ok: true, nano: Number(nano) };
}

/**
 * For reading: cents, with more digits where cents would hide the amount (`$0.0123`, `$0.000450`), grouped where it
 * is large. Never shows an amount that is not zero as zero.
 */
export function formatUsd(nano: Nano): string {
  return usdText(nano, readableDecimals(BigInt(Math.abs(nano))));
}

function usdText(nano: Nano, decimals: number): string {
  const magnitude = BigInt(Math.abs(nano));
  const rounded = divideHalfUp(magnitude, 10n ** BigInt(9 - decimals));
  const scale = 10n ** BigInt(decimals);
  return `${nano < 0 ? '-' : ''}$${group(rounded / scale)}.${(rounded % scale).toString().padStart(decimals, '0')}`;
}

/** Amounts below their sum or beside each other: all with as many digits as the smallest needs, so that they add up. */
export function formatUsdAlike(nanos: readonly Nano[]): string[] {
  const decimals = Math.max(2, ...nanos.map((nano) => readableDecimals(BigInt(Math.abs(nano)))));
  return nanos.map((nano) => usdText(nano, decimals));
}

function readableDecimals(magnitude: bigint): number {
  const cent = 10_000_000n;
  if (magnitude === 0n || magnitude >= BigInt(NANO_PER_USD) || magnitude % cent === 0n) return 2;
  if (magnitude >= cent) return 4;
  return magnitude >= 1_000n ? 6 : 9;
}

const group = (whole: bigint) => whole.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ',');

/** A limit exactly as it was set: `$10.00`, `$0.0005`, `$1,000.50`. */
export function formatLimit(nano: Nano): string {
  const [whole = '0', fraction = '00'] = formatPlainUsd(nano).split('.');
  return `$${group(BigInt(whole))}.${fraction}`;
}

/** For editing and for machines: every digit that matters and no more, at least two decimals: `10.00`, `0.0005`. */
export function formatPlainUsd(nano: Nano): string {
  const magnitude = Math.abs(nano);
  const digits = String(magnitude % NANO_PER_USD).padStart(9, '0');
  let length = 9;
  while (length > 2 && digits[length - 1] === '0') length -= 1;
  return `${nano < 0 ? '-' : ''}${Math.floor(magnitude / NANO_PER_USD)}.${digits.slice(0, length)}`;
}

/** For answers to programs that expect dollars as a JSON number. */
export function nanoToUsd(nano: Nano): number {
  return nano / NANO_PER_USD;
}
