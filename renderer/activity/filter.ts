/** What the log is filtered by: as it stands in the address, as the gateway is asked, and as pushed rows are held against it. */
import type { LogFilter } from '#shared/contract.ts';
import { DEAR_NANO } from '#shared/defaults.ts';
import { RequestFlag, type RequestRow } from '#shared/model.ts';
import { parseAmount } from '#shared/money.ts';

const fields = ['key', 'model', 'provider', 'client', 'session', 'agent'] as const;
type Field = (typeof fields)[number];

export interface RequestFilter extends Partial<Record<Field, string>> {
  /** Part of a model's, provider's or client's name. */
  q?: string;
  status?: 'ok' | 'error';
  flag?: RequestFlag;
  /** Nano-dollars that were spent at least; in the address it is in dollars. */
  cost?: number;
  /** ISO 8601; requests that started in [from, to). */
  from?: string;
  to?: string;
}

export function readFilter(query: Readonly<Record<string, string>>): RequestFilter {
  const filter: RequestFilter = {};
  for (const field of fields) if (query[field]) filter[field] = query[field];
  if (query['q']?.trim()) filter.q = query['q'].trim().slice(0, 200);
  if (query['status'] === 'ok' || query['status'] === 'error') filter.status = query['status'];
  const flag = RequestFlag.safeParse(query['flag']);
  if (flag.success) filter.flag = flag.data;
  const cost = parseAmount(query['cost'] ?? '');
  if (cost.ok && cost.nano !== null && cost.nano >= DEAR_NANO) filter.cost = cost.nano;
  for (const end of ['from', 'to'] as const) {
    const moment = Date.parse(query[end] ?? '');
    if (!Number.isNaN(moment)) filter[end] = new Date(moment).toISOString();
  }
  return filter;
}

export function isFiltered(filter: RequestFilter): boolean {
  return Object.keys(filter).length > 0;
}

export function questionOf({ key, q, cost, ...same }: RequestFilter): LogFilter {
  return {
    ...same,
    ...(key === undefined ? {} : { keyId: key }),
    ...(q === undefined ? {} : { search: q }),
    ...(cost === undefined ? {} : { minCostNano: cost }),
  };
}

export function passesFilter(row: RequestRow, filter: RequestFilter): boolean {
  const { key, model, provider, client, session, agent, flag, cost, status, from, to, q } = filter;
  if (key !== undefined && row.keyId !== key) return false;
  if (model !== undefined && row.model !== model && row.modelAsked !== model) return false;
  if (provider !== undefined && row.provider !== provider) return false;
  if (client !== undefined && row.client !== client) return false;
  if (session !== undefined && row.session !== session) return false;
  if (agent !== undefined && row.agent !== agent) return false;
  if (cost !== undefined && (row.costNano ?? 0) < cost) return false;
  if (flag !== undefined && !row.flags.includes(flag)) return false;
  if (status !== undefined && (status === 'ok') !== isSuccess(row.status)) return false;
  if (from !== undefined && Date.parse(row.at) < Date.parse(from)) return false;
  if (to !== undefined && Date.parse(row.at) >= Date.parse(to)) return false;
  if (q === undefined) return true;
  const wanted = q.toLowerCase();
  return [row.model, row.modelAsked, row.provider, row.client ?? ''].some((text) =>
    text.toLowerCase().includes(wanted),
  );
}

export const isSuccess = (status: number) => status >= 200 && status < 300;
