/** What one run of a coding agent cost, and which of its subagents. */
import { Button } from '@mantine/core';
import { IconChevronRight } from '@tabler/icons-react';
import { useState } from 'react';
import type { SessionUsage } from '#shared/model.ts';
import { formatLimit, formatUsd, type Nano } from '#shared/money.ts';
import { formatCount, formatTight } from '../format.ts';
import { hrefOf } from '../router.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useAnswer, useLatest } from '../ui/answer.ts';
import { ListState } from '../ui/page.tsx';
import { Block } from '../ui/tiles.tsx';
import { When } from '../ui/time.tsx';

const words = strings.usage;
const FIRST_ROWS = 8;
const MORE_ROWS = 100;

export function SessionTable({ range, keyId }: { range: { from: string; to: string }; keyId?: string }) {
  const [limit, setLimit] = useState(FIRST_ROWS);
  const asked = useLatest(
    useAnswer(
      'usage.sessions',
      { ...range, limit, ...(keyId === undefined ? {} : { keyId }) },
      { live: true },
    ),
  );
  const sessions = asked.value?.sessions ?? [];
  return (
    <Block title={words.sessions} text={words.sessionsText}>
      <ListState
        load={asked.load}
        onRetry={asked.reload}
        empty={sessions.length > 0 ? null : <p className="dim">{words.noSessions}</p>}
      >
        <div className="table-frame wide-table keep-last">
          <table className="table sessions">
            <thead>
              <tr>
                <th scope="col">{words.sessionColumns.session}</th>
                <th scope="col">{words.sessionColumns.client}</th>
                {keyId === undefined && <th scope="col">{words.sessionColumns.key}</th>}
                <th scope="col">{words.sessionColumns.last}</th>
                <th scope="col" className="end">
                  {words.sessionColumns.requests}
                </th>
                <th scope="col" className="end">
                  {words.sessionColumns.tokens}
                </th>
                <th scope="col" className="end">
                  {words.sessionColumns.cost}
                </th>
              </tr>
            </thead>
            {sessions.map((session) => (
              <Session key={session.id} session={session} withKey={keyId === undefined} />
            ))}
          </table>
        </div>
        {asked.value?.next != null && limit < MORE_ROWS && (
          <div className="load-more">
            <Button variant="default" loading={asked.refreshing} onClick={() => setLimit(MORE_ROWS)}>
              {words.moreSessions}
            </Button>
          </div>
        )}
      </ListState>
    </Block>
  );
}

function Session({ session, withKey }: { session: SessionUsage; withKey: boolean }) {
  const keyName = useApp((state) => state.keys[session.keyId]?.name);
  const limitNano = useApp((state) => state.keys[session.keyId]?.sessionLimitNano ?? null);
  const [open, setOpen] = useState(false);
  const { agents } = session;
  return (
    <tbody>
      <tr>
        <th scope="row" className="name">
          <span className="with-icon session-name">
            {agents.length > 0 ? (
              <button
                type="button"
                className="icon-button fold-row"
                aria-expanded={open}
                aria-label={words.agents(agents.length)}
                title={words.agents(agents.length)}
                onClick={() => setOpen(!open)}
              >
                <IconChevronRight size={14} />
              </button>
            ) : (
              <span className="icon-gap" />
            )}
            <a
              className="quiet"
              title={session.session}
              href={hrefOf('activity', { session: session.session, key: session.keyId })}
            >
              <code>{session.session.slice(0, 8)}</code>
            </a>
          </span>
        </th>
        <td>{session.client}</td>
        {withKey && <td>{keyName ?? <span className="dim">{strings.activity.deletedKey}</span>}</td>}
        <td className="dim nowrap">
          <When iso={session.lastAt} />
        </td>
        <Numbers of={session} limitNano={limitNano} />
      </tr>
      {open &&
        agents.map((agent) => (
          <tr key={agent.agent} className="sub">
            <th scope="row" colSpan={withKey ? 4 : 3}>
              <a
                className="quiet"
                href={hrefOf('activity', {
                  session: session.session,
                  agent: agent.agent,
                  key: session.keyId,
                })}
              >
                {agent.agent}
              </a>
            </th>
            <Numbers of={agent} limitNano={null} />
          </tr>
        ))}
    </tbody>
  );
}

function Numbers({
  of: { requests, inputTokens, cachedInputTokens, outputTokens, costNano },
  limitNano,
}: {
  of: Pick<SessionUsage, 'requests' | 'inputTokens' | 'cachedInputTokens' | 'outputTokens' | 'costNano'>;
  /** Of the session as a whole. */
  limitNano: Nano | null;
}) {
  return (
    <>
      <td className="end amount">{formatCount(requests)}</td>
      <td className="end amount">
        {formatTight(inputTokens)}
        <span className="dim"> / {formatTight(cachedInputTokens)} / </span>
        {formatTight(outputTokens)}
      </td>
      <td className="end amount">
        {formatUsd(costNano)}
        {limitNano !== null && (
          <span className={costNano >= limitNano ? 'near' : 'dim'}>
            {' '}
            {words.ofLimit(formatLimit(limitNano))}
          </span>
        )}
      </td>
    </>
  );
}
