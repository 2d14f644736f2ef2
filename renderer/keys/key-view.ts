/** Which keys the table shows and in what order, as the address says it. Pure, so that the rules have tests. */
import type { KeyRow } from '#shared/model.ts';
import { limitProgress } from '../format.ts';

export const sortColumns = ['name', 'status', 'created', 'lastUsed', 'usage', 'limit'] as const;
export type SortColumn = (typeof sortColumns)[number];

export interface KeyView {
  text: string;
  status: KeyRow['status'] | null;
  limit: KeyRow['limitState'] | null;
  sort: { column: SortColumn; descending: boolean };
}

export const statuses: readonly KeyRow['status'][] = ['active', 'disabled', 'expired'];
export const limitStates: readonly KeyRow['limitState'][] = ['reached', 'near', 'ok', 'none'];

/** Amounts and times are looked at from the top down, names from A. */
const startsDescending: ReadonlySet<SortColumn> = new Set(['created', 'lastUsed', 'usage', 'limit']);

export function readKeyView(query: Readonly<Record<string, string>>): KeyView {
  const { q = '', status, limit, sort = '-created' } = query;
  const column = sortColumns.find((each) => each === sort.replace(/^-/, ''));
  return {
    text: q,
    status: statuses.find((each) => each === status) ?? null,
    limit: limitStates.find((each) => each === limit) ?? null,
    sort: column ? { column, descending: sort.startsWith('-') } : { column: 'created', descending: true },
  };
}

/** What stands in the address after a click on the column's heading; null for the order that needs no saying. */
export function nextSort({ column, descending }: KeyView['sort'], clicked: SortColumn): string | null {
  const down = clicked === column ? !descending : startsDescending.has(clicked);
  const sort = `${down ? '-' : ''}${clicked}`;
  return sort === '-created' ? null : sort;
}

export function isFiltered(view: KeyView): boolean {
  return view.text.trim() !== '' || view.status !== null || view.limit !== null;
}

export function matchesView(row: KeyRow, { text, status, limit }: KeyView): boolean {
  if (status !== null && row.status !== status) return false;
  if (limit !== null && row.limitState !== limit) return false;
  const wanted = text.trim().toLowerCase();
  return (
    wanted === '' || row.name.toLowerCase().includes(wanted) || row.masked.toLowerCase().includes(wanted)
  );
}

/** Rows that are equal in the column stand newest first, whichever way the column is sorted. */
export function sortKeys(rows: readonly KeyRow[], { column, descending }: KeyView['sort']): KeyRow[] {
  const sign = descending ? -1 : 1;
  return rows.toSorted(
    (a, b) =>
      sign * compare(valueOf(a, column), valueOf(b, column)) ||
      compare(b.createdAt, a.createdAt) ||
      compare(b.id, a.id),
  );
}

function valueOf(row: KeyRow, column: SortColumn): string | number {
  switch (column) {
    case 'name':
      return row.name.toLowerCase();
    case 'status':
      return statuses.indexOf(row.status);
    case 'created':
      return row.createdAt;
    case 'lastUsed':
      return row.lastUsedAt ?? '';
    case 'usage':
      return row.usageNano;
    case 'limit':
      return limitProgress(row)?.share ?? -1;
  }
}

const compare = (a: string | number, b: string | number) => (a < b ? -1 : a > b ? 1 : 0);
