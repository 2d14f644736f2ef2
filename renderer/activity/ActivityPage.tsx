/** Every request, newest first: the log, what filters it, and one request in full beside it. */
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { call, onSettled } from '../actions.ts';
import { NextStep } from '../keys/FirstStart.tsx';
import { setQuery, useRoute } from '../router.ts';
import { app } from '../store.ts';
import { strings } from '../strings.ts';
import { Empty, ListState, Page } from '../ui/page.tsx';
import { ActivityToolbar } from './ActivityToolbar.tsx';
import { isFiltered, passesFilter, questionOf, readFilter, type RequestFilter } from './filter.ts';
import { createLog, type Log } from './log.ts';
import { RequestPanel } from './RequestPanel.tsx';
import { RequestTable } from './RequestTable.tsx';

const words = strings.activity;

export function ActivityPage() {
  const { query } = useRoute();
  // The request that is open is part of the address, but not of the filter.
  const filterText = JSON.stringify(readFilter(query));
  const filter = useMemo(() => JSON.parse(filterText) as RequestFilter, [filterText]);
  const open = /^\d+$/.test(query['request'] ?? '') ? Number(query['request']) : null;
  const [isReading, setReading] = useState(false);
  const log = useLog(filter, isReading || open !== null);
  const view = useSyncExternalStore(log.subscribe, log.view);

  const onOpen = useCallback((id: number) => setQuery({ request: String(id) }), []);
  const onClose = useCallback(() => {
    const id = open;
    setQuery({ request: null });
    requestAnimationFrame(() => {
      // Where the keyboard was led on within the log meanwhile, it stays.
      if (document.activeElement?.closest('.log-frame')) return;
      document.querySelector<HTMLElement>(`[data-request="${id}"]`)?.focus();
    });
  }, [open]);
  const onStep = (step: 1 | -1) => {
    const at = open === null ? -1 : log.indexOf(open);
    const row = at < 0 ? undefined : log.rowAt(at + step);
    if (row) onOpen(row.id);
  };

  return (
    <Page title={strings.pages.activity} fill tools={null}>
      <ActivityToolbar filter={filter} view={view} />
      <ListState
        load={view.load}
        onRetry={() => void log.reload()}
        empty={
          view.count > 0 ? null : isFiltered(filter) ? (
            <Empty title={words.emptyFiltered} />
          ) : (
            <Empty title={words.emptyTitle} text={words.emptyText}>
              <NextStep />
            </Empty>
          )
        }
      >
        <div className="log-split" data-open={open !== null || undefined}>
          <RequestTable
            key={filterText}
            log={log}
            view={view}
            open={open}
            onOpen={onOpen}
            onReading={setReading}
          />
          {open !== null && <RequestPanel key={open} id={open} onClose={onClose} onStep={onStep} />}
        </div>
      </ListState>
    </Page>
  );
}

/** A log for each filter, followed while it is shown. `holdBack`: new rows wait until they are asked for. */
function useLog(filter: RequestFilter, holdBack: boolean): Log {
  const log = useMemo(() => {
    const question = questionOf(filter);
    return createLog((input) => call('requests.list', { ...question, ...input }), {
      ask: async () => {
        const answer = await call('requests.outline', question);
        return answer.ok ? answer.value : null;
      },
      exact: filter.from === undefined && filter.to === undefined,
    });
  }, [filter]);
  useEffect(() => {
    void log.reload();
    return app.subscribe((state, before) => {
      if (state.connection === 'online' && before.connection !== 'online') void log.reload();
    });
  }, [log]);
  useEffect(
    () =>
      onSettled((rows) => {
        const wanted = rows.filter((row) => passesFilter(row, filter));
        if (wanted.length > 0) log.add(wanted, holdBack);
      }),
    [log, filter, holdBack],
  );
  return log;
}
