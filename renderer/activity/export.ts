/** The log as a file, a page at a time: neither the gateway nor the window ever holds all of it. */
import type { Answer, Output } from '#shared/contract.ts';
import { exportFormats, type ExportFormat } from '#shared/export.ts';
import { call } from '../actions.ts';
import { app } from '../store.ts';
import type { FileSink } from '../ui/file.ts';
import { questionOf, type RequestFilter } from './filter.ts';

const PAGE = 1_000;

/**
 * Writes what the filter lets through, newest first, and returns how many rows. Throws the gateway's sentence where it
 * fails on the way, and the signal's reason where it was cancelled; the sink is for the caller to close or throw away.
 */
export async function exportRequests(
  filter: RequestFilter,
  format: ExportFormat,
  sink: FileSink,
  onProgress: (rows: number) => void,
  signal: AbortSignal,
): Promise<number> {
  const question = questionOf(filter);
  let before: number | null = null;
  let rows = 0;
  const { head, line, tail } = exportFormats[format];
  await sink.write(head);
  do {
    signal.throwIfAborted();
    const answer: Answer<Output<'requests.list'>> = await call('requests.list', {
      ...question,
      before,
      limit: PAGE,
    });
    if (!answer.ok) throw new Error(answer.error.message);
    if (answer.value.rows.length > 0) {
      const text = answer.value.rows
        .map((row, at) => line(row, app.getState().keys[row.keyId]?.name ?? '', rows + at === 0))
        .join('');
      await sink.write(text);
      rows += answer.value.rows.length;
      onProgress(rows);
    }
    before = answer.value.next;
  } while (before !== null);
  await sink.write(tail);
  return rows;
}
