/** The tools of this machine: which are led to the gateway, and which are not yet. */
import { Button } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck, IconCircleDashed, IconCircleX } from '@tabler/icons-react';
import { Fragment, useState, type ReactNode } from 'react';
import type { ToolRow } from '#shared/connect.ts';
import { call, openDialog } from '../actions.ts';
import { ToolTabs } from '../keys/SecretView.tsx';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useAnswer } from '../ui/answer.ts';
import { notifyDone, notifyFailure } from '../ui/notify.ts';
import { ListState, Page } from '../ui/page.tsx';
import './connect.css';

const words = strings.connect;

export function ConnectPage() {
  const { value, load, reload } = useAnswer('connect.list', {});
  const hasAddress = useApp((state) => state.status !== null);
  const rows = value ?? [];
  const found = rows.filter((row) => row.found || row.state === 'connected' || row.state === 'changed');
  const others = rows.filter((row) => !found.includes(row));
  return (
    <Page title={strings.pages.connect}>
      <p className="intro dim">{words.intro}</p>
      <ListState load={load} onRetry={reload} empty={null}>
        {found.length > 0 && <ToolTable rows={found} label={strings.pages.connect} />}
        {others.length > 0 && (
          <section aria-labelledby="not-found" className="connect-section">
            <h2 id="not-found">{words.notFound}</h2>
            <ToolTable rows={others} label={words.notFound} />
          </section>
        )}
      </ListState>
      {load.state !== 'loading' && (
        <section aria-labelledby="others" className="connect-section">
          <h2 id="others">{words.others}</h2>
          <p className="dim">{words.othersText}</p>
          {hasAddress && <ToolTabs secret="KEY" />}
        </section>
      )}
    </Page>
  );
}

function ToolTable({ rows, label }: { rows: readonly ToolRow[]; label: string }) {
  return (
    <div className="table-frame">
      <table className="table tools-table" aria-label={label}>
        <thead>
          <tr>
            <th scope="col">{words.columns.tool}</th>
            <th scope="col">{words.columns.state}</th>
            <th scope="col">{words.columns.configuration}</th>
            <th scope="col" className="end">
              {words.columns.actions}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Row key={row.id} row={row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const icons = {
  'not-connected': IconCircleDashed,
  connected: IconCircleCheck,
  changed: IconAlertTriangle,
  cannot: IconCircleX,
} as const;
const tones = { 'not-connected': 'dim', connected: 'good', changed: 'near', cannot: 'dim' } as const;

function Row({ row }: { row: ToolRow }) {
  const Icon = icons[row.state];
  return (
    <tr>
      <th scope="row" className="name">
        {row.name}
        {row.version !== null && (
          <span className="dim tool-version" title={words.version(row.version)}>
            {row.version}
          </span>
        )}
      </th>
      <td className="nowrap">
        <span className={`with-icon ${tones[row.state]}`}>
          <Icon size={15} />
          {words.states[row.state]}
        </span>
      </td>
      <td className="tool-configuration">
        {row.why ?? ''}
        {row.configPath !== '' && <code className="dim">{breakable(row.configPath)}</code>}
      </td>
      <td className="end">
        <Actions row={row} />
      </td>
    </tr>
  );
}

/** A path breaks between its parts before it breaks within one. */
function breakable(path: string): ReactNode {
  const ends = [...path.matchAll(/[/\\]/g)].map(({ index }) => index + 1);
  return [...ends, path.length].map((end, at) => (
    <Fragment key={end}>
      {path.slice(ends[at - 1] ?? 0, end)}
      <wbr />
    </Fragment>
  ));
}

function Actions({ row }: { row: ToolRow }) {
  const [busy, setBusy] = useState(false);
  const check = async () => {
    setBusy(true);
    const answer = await call('connect.check', { tool: row.id });
    setBusy(false);
    if (!answer.ok) notifyFailure(answer.error.message, words.checkFailed);
    else if (answer.value.ok) notifyDone(answer.value.message);
    else notifyFailure(answer.value.message, words.checkFailed);
  };
  switch (row.state) {
    case 'cannot':
      return null;
    case 'not-connected':
      return (
        <Button
          size="compact-sm"
          variant="default"
          aria-label={words.connectTool(row.name)}
          onClick={() => openDialog({ kind: 'connect-tool', row })}
        >
          {words.connect}
        </Button>
      );
    case 'connected':
    case 'changed':
      return (
        <span className="tool-actions">
          {row.state === 'connected' ? (
            <Button
              size="compact-sm"
              variant="subtle"
              loading={busy}
              aria-label={words.checkTool(row.name)}
              onClick={() => void check()}
            >
              {words.check}
            </Button>
          ) : (
            <Button
              size="compact-sm"
              variant="default"
              aria-label={words.againTool(row.name)}
              onClick={() => openDialog({ kind: 'connect-tool', row })}
            >
              {words.again}
            </Button>
          )}
          <Button
            size="compact-sm"
            variant="default"
            aria-label={words.disconnectTool(row.name)}
            onClick={() => openDialog({ kind: 'disconnect-tool', row })}
          >
            {words.disconnect}
          </Button>
        </span>
      );
  }
}
