/**
 * The ledger beside what a provider's own export says, per UTC day and model. Reading only. Where they differ, the usual
 * causes are looked for in the ledger's own flags and named, since a number alone helps nobody.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { formatUsd, type Nano } from '#shared/money.ts';
import {
  billClasses,
  type BillClass,
  type BillRow,
  type ClassComparison,
  type Reconciliation,
} from '#shared/reconciliation.ts';
import { providerKindFacts } from '../config/provider-kinds.ts';
import type { Provider } from '../config/providers.ts';
import { usageOf, type StoredRequest } from '../ledger/requests.ts';
import { readBill, SAME_MODEL } from '../pricing/bill.ts';
import type { Store } from '../store/store.ts';
import { exportFacts, type BilledGroup, type ProviderExport } from './provider-exports.ts';

export interface Comparing {
  /** The slugs whose rows are compared. */
  providers: readonly string[];
  /** A difference of at most this share of what was billed is no difference. */
  tolerancePercent: number;
  now: number;
}

/** Less than this never matters: providers round each line of a bill. */
const ROUNDING_NANO = 5_000_000;
const ROWS_A_TURN = 500;
const DAY_MS = 86_400_000;
/** A request that runs over midnight is billed on one day and kept under the other. */
const EDGE_MS = 600_000;

/** The providers an export can be about: of its kind, or at the same address. */
export function providersFor(all: readonly Provider[], { format }: ProviderExport): Provider[] {
  const { kind } = exportFacts[format];
  const { host } = new URL(providerKindFacts[kind].baseUrl);
  return all.filter((provider) => provider.kind === kind || new URL(provider.baseUrl).host === host);
}

interface Side {
  day: string;
  model: string | null;
  nano: Nano;
  requests: number;
  estimated: number;
  unpriced: number;
  atEdge: number;
  classes: Map<BillClass, { nano: Nano; tokens: number }>;
}

export async function reconcile(
  { db }: Store,
  billed: ProviderExport,
  { providers, tolerancePercent, now }: Comparing,
): Promise<Reconciliation> {
  const { name: formatName, money } = exportFacts[billed.format];
  // Costs that were exported without their line items say only what a day cost.
  const byModel = billed.groups.some(({ model }) => model !== null);
  // Some exports have searches on a line of their own, others in the model's.
  const searchesApart = billed.groups.some(
    ({ model, classes }) => model === null && classes.has('webSearch'),
  );
  const ledger = await readLedger();
  const rows = compare();
  rows.sort(
    (a, b) =>
      b.day.localeCompare(a.day) ||
      Math.abs(b.differenceNano ?? 0) - Math.abs(a.differenceNano ?? 0) ||
      (a.model ?? '').localeCompare(b.model ?? ''),
  );
  const sum = (pick: (row: BillRow) => number) => rows.reduce((total, row) => total + pick(row), 0);
  const billedTotal = money ? sum((row) => row.billedNano ?? 0) : null;
  const ledgerTotal = sum((row) => row.ledgerNano);
  return {
    format: billed.format,
    formatName,
    providers: [...providers],
    from: billed.from,
    to: billed.to,
    tolerancePercent,
    rows,
    totals: {
      billedNano: billedTotal,
      ledgerNano: ledgerTotal,
      ...difference(billedTotal, ledgerTotal, tokensOf(rows, 'billedTokens'), tokensOf(rows, 'ledgerTokens')),
      outside: rows.filter(({ within }) => !within).length,
      classes: classTotals(rows),
    },
    causes: causes(rows),
    notes: billed.notes,
  };

  async function readLedger(): Promise<Map<string, Side>> {
    const sides = new Map<string, Side>();
    const rowsAfter = db.prepare<[number, number, number, string], StoredRequest>(
      `SELECT * FROM requests WHERE (at, id) > (?, ?) AND at < ? AND provider IN (SELECT value FROM json_each(?))
       ORDER BY at, id LIMIT ${ROWS_A_TURN}`,
    );
    const slugs = JSON.stringify(providers);
    const end = Date.parse(billed.to) + DAY_MS;
    let [at, id] = [Date.parse(billed.from), 0];
    for (;;) {
      const found = rowsAfter.all(at, id, end, slugs);
      for (const row of found) addRow(sides, row);
      const last = found.at(-1);
      if (!last) break;
      [at, id] = [last.at, last.id];
      // Requests go on between two turns.
      await nextTurn();
    }
    return sides;
  }

  function addRow(sides: Map<string, Side>, row: StoredRequest) {
    const day = new Date(row.at).toISOString().slice(0, 10);
    const model = byModel ? row.model : null;
    const side = sideOf(sides, day, model);
    const flags = row.flags.split(',');
    const cost = row.cost_nano ?? 0;
    side.requests += 1;
    if (flags.includes('estimated')) side.estimated += 1;
    if (row.cost_nano === null) side.unpriced += 1;
    if (row.settled_at >= Date.parse(day) + DAY_MS - EDGE_MS) side.atEdge += 1;
    let itemised = 0;
    const usage = usageOf(row);
    if (row.cost_nano !== null) {
      for (const { item, nano, model: other } of readBill(row.price)?.items ?? []) {
        itemised += nano;
        const name = classOfItem(item);
        const search = name === 'webSearch' && searchesApart;
        // A pass of another model inside the request is billed, and exported, as that model's.
        const owner = search
          ? sideOf(sides, day, null)
          : byModel && other !== undefined && other !== SAME_MODEL
            ? sideOf(sides, day, other)
            : side;
        addClass(owner, name, nano, search ? usage.webSearches : 0);
        if (owner === side) continue;
        owner.nano += nano;
        side.nano -= nano;
      }
    }
    side.nano += cost;
    // What the provider reported, or a person corrected, beyond what the tokens account for.
    if (cost !== itemised) addClass(side, 'other', cost - itemised, 0);
    const plain = Math.max(0, usage.inputTokens - usage.cachedInputTokens - usage.cacheWriteTokens);
    addClass(side, 'input', 0, plain);
    addClass(side, 'cachedInput', 0, usage.cachedInputTokens);
    addClass(side, 'cacheWrite', 0, usage.cacheWriteTokens - usage.cacheWrite1hTokens);
    addClass(side, 'cacheWrite1h', 0, usage.cacheWrite1hTokens);
    addClass(side, 'output', 0, usage.outputTokens);
    if (!searchesApart) addClass(side, 'webSearch', 0, usage.webSearches);
  }

  function compare(): BillRow[] {
    const groups = new Map<string, BilledGroup>();
    for (const group of billed.groups) {
      const key = keyOf(group.day, group.model);
      const known = groups.get(key);
      groups.set(key, known ? joined(known, group) : group);
    }
    const found: BillRow[] = [];
    for (const key of new Set([...groups.keys(), ...ledger.keys()])) {
      const group = groups.get(key);
      const side = ledger.get(key);
      const billedNano = money ? (group?.nano ?? 0) : null;
      const ledgerNano = side?.nano ?? 0;
      const classes = classesOf(group, side);
      const tokens = (pick: 'billedTokens' | 'ledgerTokens') =>
        classes.reduce((total, each) => total + (each[pick] ?? 0), 0);
      found.push({
        day: group?.day ?? side?.day ?? billed.from,
        // The ledger's name where there is one: the other pages show the same.
        model: side?.model ?? group?.model ?? null,
        side: group && side ? 'both' : group ? 'export' : 'ledger',
        billedNano: group || !money ? billedNano : null,
        ledgerNano,
        ...difference(billedNano, ledgerNano, tokens('billedTokens'), tokens('ledgerTokens')),
        billedRequests: group?.requests ?? null,
        requests: side?.requests ?? 0,
        estimated: side?.estimated ?? 0,
        unpriced: side?.unpriced ?? 0,
        classes,
      });
    }
    return found;
  }

  /** Of money where the export has any, else of tokens. */
  function difference(theirNano: Nano | null, ourNano: Nano, theirTokens: number, ourTokens: number) {
    const [theirs, ours] = theirNano === null ? [theirTokens, ourTokens] : [theirNano, ourNano];
    const gap = ours - theirs;
    const percent = theirs === 0 ? null : (gap / theirs) * 100;
    const small = theirNano !== null && Math.abs(gap) <= ROUNDING_NANO;
    return {
      differenceNano: theirNano === null ? null : gap,
      percent: percent === null ? null : Math.round(percent * 100) / 100,
      within: small || gap === 0 || (percent !== null && Math.abs(percent) <= tolerancePercent),
    };
  }

  function causes(all: readonly BillRow[]): string[] {
    const outside = all.filter(({ within }) => !within);
    if (outside.length === 0) return [];
    const found: string[] = [];
    const count = (pick: (row: BillRow) => number) => outside.reduce((total, row) => total + pick(row), 0);
    const only = outside.filter(({ side }) => side === 'export');
    if (only.length > 0) {
      const nano = only.reduce((total, row) => total + (row.billedNano ?? 0), 0);
      const cost = money ? ` (${formatUsd(nano)})` : '';
      found.push(
        `${numbered(only.length, 'line is', 'lines are')} only in the export${cost}: usage that did not go through Faregate, such as another tool or another key of the same account, or a name of a model that differs.`,
      );
    }
    const ours = outside.filter(({ side }) => side === 'ledger');
    if (ours.length > 0) {
      found.push(
        `${numbered(ours.length, 'line is', 'lines are')} only in the ledger: an export of another organization, workspace or key, or one made before the provider had counted the day.`,
      );
    }
    const unpriced = count((row) => row.unpriced);
    if (unpriced > 0) {
      found.push(
        `${numbered(unpriced, 'request has', 'requests have')} no price in the ledger and count as nothing here. Set a price under Prices and price them again.`,
      );
    }
    const estimated = count((row) => row.estimated);
    if (estimated > 0) {
      found.push(
        `${numbered(estimated, 'request is', 'requests are')} estimated: the provider did not say what they used, or what it charges for them.`,
      );
    }
    const edges = [...ledger.values()].reduce((total, { atEdge }) => total + atEdge, 0);
    if (edges > 0) {
      found.push(
        `${numbered(edges, 'request', 'requests')} ended in the last minutes of a day or after it (UTC) and may be billed on the next day.`,
      );
    }
    if (billed.to >= new Date(now - DAY_MS).toISOString().slice(0, 10)) {
      found.push(
        `The export reaches ${billed.to}: a day that has just ended, or has not, may not be counted in full by the provider.`,
      );
    }
    if (found.length === 0 && money) {
      found.push(
        'All requests are on both sides: the price of the catalogue or your own price differs from what you are charged, for instance by a discount.',
      );
    }
    return found;
  }
}

const numbered = (count: number, one: string, many: string) =>
  `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;

function sideOf(sides: Map<string, Side>, day: string, model: string | null): Side {
  const key = keyOf(day, model);
  let side = sides.get(key);
  if (!side) {
    side = { day, model, nano: 0, requests: 0, estimated: 0, unpriced: 0, atEdge: 0, classes: new Map() };
    sides.set(key, side);
  }
  return side;
}

function addClass(side: Side, name: BillClass, nano: Nano, tokens: number): void {
  if (nano === 0 && tokens === 0) return;
  const known = side.classes.get(name) ?? { nano: 0, tokens: 0 };
  side.classes.set(name, { nano: known.nano + nano, tokens: known.tokens + tokens });
}

const keyOf = (day: string, model: string | null) => `${day} ${model === null ? '' : commonName(model)}`;

/**
 * One name for what the provider's bill, its answers and a person call a model: `Claude Haiku 4.5`,
 * `claude-haiku-4-5-20251001` and `anthropic/claude-haiku-4.5` are the same, as are the snapshots of one model.
 */
export function commonName(model: string): string {
  return model
    .toLowerCase()
    .replace(/^.*\//, '')
    .replace(/:.*$/, '')
    .replaceAll(/[\s._]+/g, '-')
    .replace(/-(latest|\d{4}-\d{2}-\d{2}|20\d{6})$/, '')
    .replace(/^claude-(\d+(?:-\d+)?)-(haiku|sonnet|opus)/, 'claude-$2-$1');
}

function joined(a: BilledGroup, b: BilledGroup): BilledGroup {
  const plus = (x: number | null, y: number | null) =>
    x === null && y === null ? null : (x ?? 0) + (y ?? 0);
  const classes = new Map(a.classes);
  for (const [name, part] of b.classes) {
    const known = classes.get(name);
    classes.set(name, {
      nano: plus(known?.nano ?? null, part.nano),
      tokens: plus(known?.tokens ?? null, part.tokens),
    });
  }
  return { ...a, nano: plus(a.nano, b.nano), requests: plus(a.requests, b.requests), classes };
}

/** Class by class, where the export says anything by class. */
function classesOf(group: BilledGroup | undefined, side: Side | undefined): ClassComparison[] {
  if (group && group.classes.size === 0) return [];
  return billClasses.flatMap((name) => {
    const theirs = group?.classes.get(name);
    const ours = side?.classes.get(name);
    if (!theirs && !ours) return [];
    return [
      {
        class: name,
        billedNano: theirs?.nano ?? null,
        ledgerNano: ours ? ours.nano : null,
        billedTokens: theirs?.tokens ?? null,
        ledgerTokens: ours ? ours.tokens : null,
      },
    ];
  });
}

function classTotals(rows: readonly BillRow[]): ClassComparison[] {
  const plus = (x: number | null, y: number | null) =>
    x === null && y === null ? null : (x ?? 0) + (y ?? 0);
  return billClasses.flatMap((name) => {
    const parts = rows.flatMap(({ classes }) => classes.filter((each) => each.class === name));
    if (parts.length === 0) return [];
    return [
      parts.reduce((a, b) => ({
        class: name,
        billedNano: plus(a.billedNano, b.billedNano),
        ledgerNano: plus(a.ledgerNano, b.ledgerNano),
        billedTokens: plus(a.billedTokens, b.billedTokens),
        ledgerTokens: plus(a.ledgerTokens, b.ledgerTokens),
      })),
    ];
  });
}

function tokensOf(rows: readonly BillRow[], side: 'billedTokens' | 'ledgerTokens'): number {
  return rows.reduce(
    (total, { classes }) => total + classes.reduce((part, each) => part + (each[side] ?? 0), 0),
    0,
  );
}

/** Reasoning is billed as output, and audio and images where the text of their direction is. */
function classOfItem(item: string): BillClass {
  if (item === 'webSearches') return 'webSearch';
  if (item === 'reasoning' || item.endsWith('Output')) return 'output';
  if (item === 'cachedAudioInput') return 'cachedInput';
  if (/^(audio|image|video)Input$/.test(item)) return 'input';
  return billClasses.find((name) => name === item) ?? 'other';
}
