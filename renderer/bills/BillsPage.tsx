import { Button, FileButton, NativeSelect, NumberInput } from '@mantine/core';
import { IconFileUpload } from '@tabler/icons-react';
import { useState, type DragEvent } from 'react';
import { MAX_EXPORT_CHARACTERS } from '#shared/contract.ts';
import type { Reconciliation } from '#shared/reconciliation.ts';
import { announce, call } from '../actions.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { FormError, Page } from '../ui/page.tsx';
import './bills.css';
import { Comparison } from './Comparison.tsx';

const words = strings.bills;
const TOLERANCE_PERCENT = 1;

/** The file stays in the page while it is compared with other settings; it is never kept. */
interface Chosen {
  name: string;
  text: string;
}

export function BillsPage() {
  const providers = useApp((state) => state.providers);
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const [providerId, setProviderId] = useState('');
  const [tolerance, setTolerance] = useState(TOLERANCE_PERCENT);
  const [found, setFound] = useState<Reconciliation | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const compare = async (file: Chosen, at: { providerId: string; tolerance: number }) => {
    setBusy(true);
    setFailure(null);
    const answer = await call('reconcile.compare', {
      csv: file.text,
      tolerancePercent: at.tolerance,
      ...(at.providerId === '' ? {} : { providerId: at.providerId }),
    });
    setBusy(false);
    if (!answer.ok) {
      setFound(null);
      return setFailure(answer.error.message);
    }
    setFound(answer.value);
    const { totals } = answer.value;
    announce(totals.outside === 0 ? words.noDifference : words.differs(totals.outside));
  };

  const take = async (file: File | null | undefined) => {
    if (!file) return;
    if (file.size > 4 * MAX_EXPORT_CHARACTERS) return setFailure(words.tooLarge);
    const text = await file.text();
    if (text.length > MAX_EXPORT_CHARACTERS) return setFailure(words.tooLarge);
    const next = { name: file.name, text };
    setChosen(next);
    await compare(next, { providerId, tolerance });
  };

  const again = (change: Partial<{ providerId: string; tolerance: number }>) => {
    const at = { providerId, tolerance, ...change };
    setProviderId(at.providerId);
    setTolerance(at.tolerance);
    if (chosen) void compare(chosen, at);
  };

  return (
    <Page title={strings.pages.bills} className="bills">
      <p className="intro dim">{words.intro}</p>
      <div className="bills-settings">
        <NativeSelect
          label={words.provider}
          data={[
            { value: '', label: words.allProviders },
            ...providers.map((each) => ({ value: each.id, label: each.name })),
          ]}
          value={providerId}
          onChange={(event) => again({ providerId: event.currentTarget.value })}
        />
        <NumberInput
          label={words.tolerance}
          className="bills-tolerance"
          min={0}
          max={100}
          step={1}
          value={tolerance}
          onChange={(value) => typeof value === 'number' && again({ tolerance: value })}
        />
      </div>
      <DropZone onFile={take} busy={busy} file={chosen?.name ?? null} />
      <FormError message={failure} />
      {found === null ? failure === null && <Formats /> : <Comparison found={found} />}
    </Page>
  );
}

function DropZone({
  onFile,
  busy,
  file,
}: {
  onFile: (file: File | null | undefined) => Promise<void>;
  busy: boolean;
  file: string | null;
}) {
  const [over, setOver] = useState(false);
  const drag = (inside: boolean) => (event: DragEvent) => {
    event.preventDefault();
    setOver(inside);
  };
  return (
    <div
      className={over ? 'drop-zone drop-over' : 'drop-zone'}
      onDragOver={drag(true)}
      onDragLeave={drag(false)}
      onDrop={(event) => {
        drag(false)(event);
        void onFile(event.dataTransfer.files[0]);
      }}
    >
      {file === null ? <span className="dim">{words.drop}</span> : <strong>{file}</strong>}
      <FileButton
        accept=".csv,.tsv,.json,text/csv,application/json"
        inputProps={{ 'aria-label': words.file }}
        onChange={(chosen) => void onFile(chosen)}
      >
        {(props) => (
          <Button {...props} variant="default" loading={busy} leftSection={<IconFileUpload size={15} />}>
            {file === null ? words.choose : words.another}
          </Button>
        )}
      </FileButton>
    </div>
  );
}

function Formats() {
  return (
    <>
      <dl className="bills-formats">
        {words.formats.map(([provider, what]) => (
          <div key={provider}>
            <dt>{provider}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p className="hint">{words.json}</p>
    </>
  );
}
