import { Button, Progress, SegmentedControl } from '@mantine/core';
import { useEffect, useState } from 'react';
import type { ExportFormat } from '#shared/export.ts';
import { closeDialog } from '../actions.ts';
import { formatCount } from '../format.ts';
import { strings } from '../strings.ts';
import { openFile } from '../ui/file.ts';
import { Dialog, FormError, submitting } from '../ui/page.tsx';
import { exportRequests } from './export.ts';
import type { RequestFilter } from './filter.ts';

const words = strings.activity.exporting;
const types = { csv: 'text/csv', json: 'application/json' } as const;

export function ExportDialog({ filter }: { filter: RequestFilter }) {
  const [format, setFormat] = useState<ExportFormat>('csv');
  /** Rows written; null before the start. */
  const [written, setWritten] = useState<number | null>(null);
  const [done, setDone] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const [running, setRunning] = useState<AbortController | null>(null);
  useEffect(() => () => running?.abort(), [running]);

  const start = async () => {
    const day = new Date().toISOString().slice(0, 10);
    const sink = await openFile(`faregate-requests-${day}.${format}`, types[format]);
    if (!sink) return;
    const cancel = new AbortController();
    setRunning(cancel);
    setFailure(null);
    setWritten(0);
    try {
      setWritten(await exportRequests(filter, format, sink, setWritten, cancel.signal));
      await sink.close();
      setDone(true);
    } catch (error) {
      await sink.abort();
      setWritten(null);
      if (!cancel.signal.aborted) setFailure(error instanceof Error ? error.message : words.failed);
    }
  };

  const isRunning = written !== null && !done;
  return (
    <Dialog title={words.title} onClose={closeDialog}>
      <form className="dialog-form" onSubmit={submitting(start)}>
        <p className="dim">{words.text}</p>
        <SegmentedControl
          aria-label={words.format}
          size="xs"
          disabled={isRunning || done}
          value={format}
          onChange={(value) => setFormat(value === 'json' ? 'json' : 'csv')}
          data={[
            { value: 'csv', label: words.csv },
            { value: 'json', label: words.json },
          ]}
        />
        <div className="export-progress" role="status">
          {written !== null && (
            <>
              <Progress value={100} animated={!done} size="sm" aria-label={words.title} />
              <p className="amount">
                {done ? words.done(formatCount(written)) : words.progress(formatCount(written))}
              </p>
            </>
          )}
        </div>
        <FormError message={failure} />
        <div className="dialog-buttons">
          <Button variant={done ? 'filled' : 'default'} onClick={closeDialog}>
            {done ? strings.common.done : strings.common.cancel}
          </Button>
          {!done && (
            <Button type="submit" disabled={isRunning} data-autofocus>
              {words.startDownload}
            </Button>
          )}
        </div>
      </form>
    </Dialog>
  );
}
