/**
 * Keeps the sums of `usage_*` (migrations/0006-aggregates.ts) equal to the usage rows, without a cost at each request:
 * rows wait in `requests` and are rolled up by the hundred, or when somebody asks. One transaction writes sums and the
 * mark up to which they hold, so a crash loses nothing and counts nothing twice.
 *
 * Ids are given out when a request starts, rows are written when it ends: the mark is an id, and beside it the ids
 * below that were still running are kept. A row that changes later leaves the difference in `usage_changes`.
 */
import type { Billing } from '#shared/model.ts';
import { windowAt } from '../config/limits.ts';
import type { Store } from '../store/store.ts';
import {
  columnsOf,
  dimensions,
  rollupStatements,
  spans,
  sumColumns,
  type Dimension,
  type Row,
  type SumsOf,
} from './rollup-statements.ts';

export interface Rollup {
  /**
   * The number of the combination that a row belongs to. Called in the transaction that writes the row; where that
   * fails `forget` has to follow.
   */
  seriesOf(row: SeriesFields): number;
  forget(): void;
  /** A row was written. Rolls up once many wait. */
  rowWritten(): void;
  /** Brings the sums up to date. Where nothing can be written they stay as they are, and are made up for later. */
  catchUp(): void;
}

/** The days of `usage_agents`. */
export const UTC_DAY_MS = 86_400_000;

/** Few enough that no stream waits for longer than a write of usage takes anyway: a millisecond or two. */
const ROLL_UP_AT = 128;
/** Ids in one transaction, so that a long history does not hold up the process for seconds at a time. */
const CHUNK = 8192;

/** A request as far as it decides where it is counted. */
export interface SeriesFields {
  key_id: string;
  provider: string;
  billing: Billing;
  model_asked: string;
  model: string;
  client: string | null;
}

/** `running` gives every id that was given out and whose row is not in `requests` yet. */
export function createRollup(store: Store, running: () => Iterable<number>): Rollup {
  const sql = rollupStatements(store.db);
  const seriesIds = new Map<string, number>();
  let lastSeries: { of: SeriesFields; id: number } | null = null;
  const seriesNames = new Map<number, readonly (readonly [Dimension, number])[]>();
  let waiting = 0;
  /** What an earlier process left behind is seen to once; a process keeps the time zone it was started in. */
  let opened = false;

  function seriesOf(row: SeriesFields): number {
    // Most requests are like the one before, and its name is long to put together.
    if (lastSeries === null || !isSameSeries(lastSeries.of, row)) lastSeries = { of: row, id: seriesId(row) };
    return lastSeries.id;
  }

  function seriesId(row: SeriesFields): number {
    const name = `${row.key_id}\n${row.provider}\n${row.billing}\n${row.model_asked}\n${row.model}\n${row.client ?? ''}`;
    let id = seriesIds.get(name);
    if (id === undefined) {
      const fields = [row.key_id, row.provider, row.billing, row.model_asked, row.model, row.client ?? ''];
      id = sql.findSeries.get(...fields) ?? Number(sql.addSeries.run(...fields).lastInsertRowid);
      seriesIds.set(name, id);
    }
    return id;
  }

  /** Adds rows, or differences of rows, to the sums of the local days and months. */
  function addSums(rows: Iterable<Row>): void {
    const bySeries = new Groups<Place>();
    const startOf = { day: calendar('day'), month: calendar('month') };
    // Most rows are of the same series and day as the one before.
    const last: Partial<Record<Period, Group<Place>>> = {};
    for (const row of rows) {
      for (const every of periods) {
        const start = startOf[every](row.at);
        const group = last[every];
        if (group?.of.series === row.series && group.of.start === start) addTo(group, row, row.id, row.id);
        else {
          const { series } = row;
          const name = `${every}/${start}/${series}`;
          last[every] = bySeries.add(name, () => ({ every, start, series }), row, row.id, row.id);
        }
      }
    }
    const byName = new Groups<readonly [span: number, start: number, name: number]>();
    for (const { of: place, sums, firstId, lastId } of bySeries) {
      const { every, start, series } = place;
      sql.addSums.run(spans[every].series, start, series, ...columnsOf(sums), firstId, lastId);
      for (const [dimension, name] of namesOf(series)) {
        const span = spans[every][dimension];
        byName.add(`${span}/${start}/${name}`, () => [span, start, name], sums, firstId, lastId);
      }
    }
    for (const { of: where, sums, firstId, lastId } of byName)
      sql.addSums.run(...where, ...columnsOf(sums), firstId, lastId);
  }

  function namesOf(series: number): readonly (readonly [Dimension, number])[] {
    let names = seriesNames.get(series);
    if (names === undefined) {
      const {
        key_id: key,
        model,
        provider,
        client,
      } = sql.series.get(series) ?? { key_id: '', model: '', provider: '', client: '' };
      const fields = { key, model, provider, client, none: '' } satisfies Record<Dimension, string>;
      names = dimensions.map((dimension) => {
        const name = fields[dimension];
        return [dimension, sql.findName.get(name) ?? Number(sql.addName.run(name).lastInsertRowid)];
      });
      seriesNames.set(series, names);
    }
    return names;
  }

  function addSessions(rows: Iterable<Row>): void {
    const sessions = new Map<string, Session>();
    for (const row of rows) {
      if (row.session === null) continue;
      const name = `${row.key_id}\n${row.session}`;
      const session = sessions.get(name) ?? {
        fields: [row.key_id, row.session, row.client ?? ''],
        firstAt: row.at,
        lastAt: row.at,
        agents: new Groups(),
      };
      sessions.set(name, session);
      session.firstAt = Math.min(session.firstAt, row.at);
      session.lastAt = Math.max(session.lastAt, row.at);
      const [start, agent] = [row.at - (row.at % UTC_DAY_MS), row.agent ?? ''];
      session.agents.add(
        `${start}/${agent}`,
        () => [agent, start, row.parent_agent ?? ''],
        row,
        row.id,
        row.id,
      );
    }
    for (const { fields, firstAt, lastAt, agents } of sessions.values()) {
      const id = sql.addSession.get(...fields, firstAt, lastAt) ?? 0;
      for (const { of: where, sums, firstId, lastId } of agents)
        sql.addAgent.run(id, ...where, ...columnsOf(sums), firstId, lastId);
    }
  }

  /** A machine that has moved to another time zone has other days: they are made again from the rows. */
  function followZone(): void {
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    if (sql.rolled.get()?.zone === timeZone) return;
    if (sql.rolled.get()?.up_to === 0) {
      store.write(() => sql.setZone.run(timeZone));
      return;
    }
    // A difference that waits is in its row already, so it has to be counted before the row is.
    while (step());
    store.write(() => {
      sql.dropSums.run();
      addSums(sql.rolledRows.iterate());
      sql.setZone.run(timeZone);
    });
  }

  /** A request whose process died before anything of it was written is running no more, and will have no row. */
  function dropDead(): void {
    const alive = new Set(running());
    const dead = sql.dead.all().filter(({ id }) => !alive.has(id));
    if (dead.length > 0) {
      store.write(() => {
        for (const { id } of dead) sql.close.run(id);
      });
    }
  }

  /** One chunk; false where nothing is left to do. */
  function step(): boolean {
    const upTo = sql.rolled.get()?.up_to ?? 0;
    const newest = sql.newest.get()?.id ?? 0;
    const ended = sql.ended.all();
    const changed = sql.anyChange.get() !== undefined;
    if (newest <= upTo && ended.length === 0 && !changed) return false;
    const target = Math.min(Math.max(newest, upTo), upTo + CHUNK);
    store.write(() => {
      // Differences first: a change of a row that is only now rolled up is in that row already, and has left none.
      for (const rows of [changed ? sql.changes.all() : [], sql.rows.all(upTo, target)]) {
        addSums(rows);
        addSessions(rows);
      }
      if (changed) sql.clearChanges.run();
      for (const { id } of ended) sql.close.run(id);
      for (const id of running()) if (id > upTo && id <= target) sql.open.run(id);
      sql.mark.run(target);
    });
    return true;
  }

  function catchUp(): void {
    waiting = 0;
    try {
      if (!opened) {
        dropDead();
        followZone();
        opened = true;
      }
      while (step());
    } catch {
      // The sums are late, not wrong: what cannot be written now is rolled up at the next occasion. Names that the
      // transaction made are gone with it.
      seriesNames.clear();
    }
  }

  return {
    seriesOf,
    forget() {
      seriesIds.clear();
      lastSeries = null;
    },
    rowWritten() {
      waiting += 1;
      if (waiting >= ROLL_UP_AT) catchUp();
    },
    catchUp,
  };
}

function isSameSeries(one: SeriesFields, other: SeriesFields): boolean {
  return (
    one.key_id === other.key_id &&
    one.model === other.model &&
    one.model_asked === other.model_asked &&
    one.client === other.client &&
    one.provider === other.provider &&
    one.billing === other.billing
  );
}

interface Session {
  fields: readonly [keyId: string, session: string, client: string];
  firstAt: number;
  lastAt: number;
  agents: Groups<readonly [agent: string, start: number, parent: string]>;
}

/** Sums are kept by each of them. */
const periods = ['day', 'month'] as const;
type Period = (typeof periods)[number];

interface Place {
  every: Period;
  start: number;
  series: number;
}

interface Group<Of> {
  of: Of;
  sums: SumsOf;
  firstId: number;
  lastId: number;
}

function addTo<Of>(group: Group<Of>, added: Readonly<SumsOf>, firstId: number, lastId: number): void {
  group.firstId = Math.min(group.firstId, firstId);
  group.lastId = Math.max(group.lastId, lastId);
  for (const column of sumColumns) group.sums[column] += added[column];
}

/** Sums by group, in the order in which the groups were first seen. */
class Groups<Of> implements Iterable<Group<Of>> {
  readonly #groups = new Map<string, Group<Of>>();

  add(name: string, of: () => Of, added: Readonly<SumsOf>, firstId: number, lastId: number): Group<Of> {
    let group = this.#groups.get(name);
    if (group === undefined) {
      // A literal: this is done for every row.
      const sums = {
        requests: added.requests,
        errors: added.errors,
        estimated: added.estimated,
        unpriced: added.unpriced,
        input_tokens: added.input_tokens,
        cached_input_tokens: added.cached_input_tokens,
        cache_write_tokens: added.cache_write_tokens,
        output_tokens: added.output_tokens,
        reasoning_tokens: added.reasoning_tokens,
        cost_nano: added.cost_nano,
        own_key_nano: added.own_key_nano,
        saved_nano: added.saved_nano,
      };
      group = { of: of(), sums, firstId, lastId };
      this.#groups.set(name, group);
    } else addTo(group, added, firstId, lastId);
    return group;
  }

  [Symbol.iterator](): Iterator<Group<Of>> {
    return this.#groups.values();
  }
}

/** Where the local day or month of an instant begins; asked for one instant after the other, mostly of the same day. */
function calendar(every: Period): (at: number) => number {
  let window = { start: 0, end: 0 };
  return (at) => {
    if (at < window.start || at >= window.end) window = windowAt(at, every);
    return window.start;
  };
}
