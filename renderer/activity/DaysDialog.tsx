/** The days whose requests are shown, as a person counts them: both included, from midnight to midnight of this machine. */
import { TextInput } from '@mantine/core';
import { useState } from 'react';
import { closeDialog } from '../actions.ts';
import { setQuery } from '../router.ts';
import { strings } from '../strings.ts';
import { Dialog, DialogButtons, submitting } from '../ui/page.tsx';
import type { RequestFilter } from './filter.ts';

const words = strings.activity.days;

export function DaysDialog({ filter }: { filter: RequestFilter }) {
  const [first, setFirst] = useState(() => (filter.from ? dayOf(Date.parse(filter.from)) : ''));
  // The filter ends where the day after the last one begins.
  const [last, setLast] = useState(() => (filter.to ? dayOf(Date.parse(filter.to) - 1) : ''));
  const wrong = first !== '' && last !== '' && last < first;
  const show = async () => {
    if (wrong) return;
    setQuery({ from: first === '' ? null : startOf(first, 0), to: last === '' ? null : startOf(last, 1) });
    closeDialog();
  };
  return (
    <Dialog title={words.title}>
      <form className="dialog-form" onSubmit={submitting(show)} noValidate>
        <div className="field-row">
          <TextInput
            type="date"
            className="grow"
            label={words.from}
            data-autofocus
            value={first}
            onChange={(event) => setFirst(event.currentTarget.value)}
          />
          <TextInput
            type="date"
            className="grow"
            label={words.to}
            value={last}
            error={wrong ? words.invalid : null}
            onChange={(event) => setLast(event.currentTarget.value)}
          />
        </div>
        <p className="hint">{words.hint}</p>
        <DialogButtons submit={words.submit} busy={false} disabled={wrong} />
      </form>
    </Dialog>
  );
}

/** `2026-11-22` in local time, as a date field has it. */
function dayOf(ms: number): string {
  const moment = new Date(ms);
  const two = (part: number) => String(part).padStart(2, '0');
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}

function startOf(day: string, plusDays: number): string {
  const [year = 0, month = 1, date = 1] = day.split('-').map(Number);
  return new Date(year, month - 1, date + plusDays).toISOString();
}
