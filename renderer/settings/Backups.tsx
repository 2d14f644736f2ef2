/** The copies of the ledger: what there is, one more, and back to one of them. */
import { Button, Checkbox, VisuallyHidden } from '@mantine/core';
import { useState } from 'react';
import type { BackupRow } from '#shared/model.ts';
import { announce, call, closeDialog, openDialog } from '../actions.ts';
import { formatExact } from '../format.ts';
import { strings } from '../strings.ts';
import { useAnswer } from '../ui/answer.ts';
import { notifyFailure } from '../ui/notify.ts';
import { Dialog, DialogButtons, FormError, submitting } from '../ui/page.tsx';
import { When } from '../ui/time.tsx';
import { Section } from './Section.tsx';

const words = strings.backups;
const MEGABYTE = 1_000_000;

const megabytes = (bytes: number) =>
  `${(bytes / MEGABYTE).toLocaleString('en-US', { maximumFractionDigits: 1, minimumFractionDigits: 1 })} MB`;

export function BackupsSection() {
  const { value: backups, reload } = useAnswer('backups.list', {});
  const [busy, setBusy] = useState(false);

  const create = async () => {
    setBusy(true);
    const answer = await call('backups.create', {});
    setBusy(false);
    if (!answer.ok) return notifyFailure(answer.error.message, words.notCreated);
    announce(words.created);
    reload();
  };

  return (
    <Section title={words.title} text={words.text}>
      {backups !== null && backups.length === 0 && <p className="dim">{words.none}</p>}
      {backups !== null && backups.length > 0 && (
        <div className="table-frame">
          <table className="table" aria-label={words.title}>
            <thead>
              <tr>
                <th scope="col">{words.columns.made}</th>
                <th scope="col" className="end">
                  {words.columns.size}
                </th>
                <th>
                  <VisuallyHidden>{words.restore}</VisuallyHidden>
                </th>
              </tr>
            </thead>
            <tbody>
              {backups.map((row) => (
                <tr key={row.name}>
                  <td>
                    <When iso={row.at} />
                  </td>
                  <td className="end">{megabytes(row.bytes)}</td>
                  <td className="end">
                    <Button
                      variant="default"
                      size="compact-xs"
                      aria-label={words.restoreOf(formatExact(row.at))}
                      onClick={() => openDialog({ kind: 'restore-backup', row })}
                    >
                      {words.restore}
                    </Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <div>
        <Button variant="default" loading={busy} onClick={() => void create()}>
          {words.create}
        </Button>
      </div>
    </Section>
  );
}

/** Says what a restore takes away before it does. Once it is done the page is loaded anew, since all of it may be different. */
export function RestoreDialog({ row }: { row: BackupRow }) {
  const [carryOver, setCarryOver] = useState(true);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);

  const restore = async () => {
    setBusy(true);
    const answer = await call('backups.restore', { name: row.name, carryOver });
    setBusy(false);
    if (answer.ok) closeDialog();
    else setFailure(answer.error.message);
  };

  return (
    <Dialog title={words.dialog.title(formatExact(row.at))}>
      <form className="dialog-form" onSubmit={submitting(restore)}>
        <p>{words.dialog.text}</p>
        <p>{words.dialog.keys}</p>
        <Checkbox
          label={words.dialog.carryOver}
          description={words.dialog.carryOverHint}
          checked={carryOver}
          onChange={(event) => setCarryOver(event.currentTarget.checked)}
        />
        <FormError message={failure} />
        <DialogButtons submit={words.dialog.submit} busy={busy} danger />
      </form>
    </Dialog>
  );
}
