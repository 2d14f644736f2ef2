/** The sessions of coding agents, the one with the latest request first, each with what its subagents cost. */
import type { Output, Parsed } from '#shared/contract.ts';
import type { SessionUsage } from '#shared/model.ts';
import type { Connection } from '../store/store.ts';
import { addTo, noSums, SUMS, type Sums } from './sums.ts';

export type Sessions = (filter: Parsed<'usage.sessions'>) => Output<'usage.sessions'>;

/** `rollUp` brings the sums up to date. */
export function createSessions(db: Connection, rollUp: () => void): Sessions {
  const agents = db.prepare<[number], { agent: string; parent: string } & Sums>(
    `SELECT u.agent, max(u.parent) AS parent, ${SUMS} FROM usage_agents AS u WHERE u.session = ? GROUP BY u.agent`,
  );

  function toSession(record: SessionRecord): SessionUsage {
    const total = { ...noSums };
    const subagents: SessionUsage['agents'] = [];
    for (const { agent, parent, ...sums } of agents.all(record.id)) {
      addTo(total, sums);
      if (agent !== '') subagents.push({ agent, parentAgent: parent === '' ? null : parent, ...sums });
    }
    return {
      id: record.id,
      session: record.session,
      client: record.client === '' ? null : record.client,
      keyId: record.key_id,
      firstAt: new Date(record.first_at).toISOString(),
      lastAt: new Date(record.last_at).toISOString(),
      agents: subagents.toSorted((a, b) => b.costNano - a.costNano),
      ...total,
    };
  }

  return ({ from, to, keyId, client, session, before, limit }) => {
    rollUp();
    const [beforeAt, beforeId] = (before ?? '').split('/').map(Number);
    const conditions = [
      ...(keyId === undefined ? [] : ['key_id = @keyId']),
      ...(client === undefined ? [] : ['client = @client']),
      ...(session === undefined ? [] : ['session = @session']),
      ...(from === undefined ? [] : ['last_at >= @from']),
      ...(to === undefined ? [] : ['first_at < @to']),
      ...(before == null ? [] : ['(last_at, id) < (@beforeAt, @beforeId)']),
    ];
    const rows = db
      .prepare<[object], SessionRecord>(
        `SELECT * FROM usage_sessions ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
           ORDER BY last_at DESC, id DESC LIMIT @limit`,
      )
      .all({
        keyId,
        client,
        session,
        from: from && Date.parse(from),
        to: to && Date.parse(to),
        beforeAt,
        beforeId,
        limit: limit + 1,
      });
    const page = rows.slice(0, limit);
    const end = page.at(-1);
    return {
      sessions: page.map(toSession),
      next: rows.length > limit && end ? `${end.last_at}/${end.id}` : null,
    };
  };
}

interface SessionRecord {
  id: number;
  key_id: string;
  session: string;
  client: string;
  first_at: number;
  last_at: number;
}
