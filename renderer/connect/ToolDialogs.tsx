/** Connecting and disconnecting one tool: the change as it would be written, then what came of it. */
import { Button, TextInput } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck, IconInfoCircle } from '@tabler/icons-react';
import { useCallback, useEffect, useRef, useState } from 'react';
import type { ConnectPlan, ToolRow } from '#shared/connect.ts';
import type { Answer, ContractError, Output } from '#shared/contract.ts';
import { parseAmount } from '#shared/money.ts';
import { announce, call, closeDialog } from '../actions.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useAnswer } from '../ui/answer.ts';
import { CopyButton, Dialog, DialogButtons, FormError, submitting } from '../ui/page.tsx';
import { Diff } from './Diff.tsx';
import './connect.css';

const words = strings.connect;
const TYPING_MS = 350;

type Planned = { plan: ConnectPlan } | { error: ContractError } | null;

/** The plan for these inputs; null while it is asked for. `again` asks anew. */
function usePlan(row: ToolRow, model: string, undo: boolean): [Planned, again: () => void] {
  const [planned, setPlanned] = useState<Planned>(null);
  const latest = useRef(0);
  const ask = useCallback(async () => {
    latest.current += 1;
    const mine = latest.current;
    const input = { tool: row.id, undo, ...(model === '' ? {} : { model }) };
    const answer = await call('connect.plan', input);
    if (mine === latest.current) setPlanned(answer.ok ? { plan: answer.value } : { error: answer.error });
  }, [row.id, model, undo]);
  useEffect(() => {
    // Not for each letter of a model's name.
    const timer = setTimeout(() => void ask(), model === '' ? 0 : TYPING_MS);
    return () => clearTimeout(timer);
  }, [ask, model]);
  return [planned, () => void ask()];
}

export function ConnectToolDialog({ row }: { row: ToolRow }) {
  const { reload } = useAnswer('connect.list', {});
  const [done, setDone] = useState<Output<'connect.apply'> | null>(null);
  const hasKey = useApp((state) => row.keyId !== null && state.keys[row.keyId] !== undefined);
  const [model, setModel] = useState('');
  const [amount, setAmount] = useState('');
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [planned, planAgain] = usePlan(row, model.trim(), false);
  const plan = planned !== null && 'plan' in planned ? planned.plan : null;
  const error = planned !== null && 'error' in planned ? planned.error : null;
  const limit = parseAmount(amount);
  if (done) return <Connected row={done.tool} secret={done.secret} notes={plan?.notes ?? []} />;

  const apply = async () => {
    if (!plan || !limit.ok) return;
    setBusy(true);
    const answer = await call('connect.apply', {
      tool: row.id,
      planHash: plan.hash,
      ...(model.trim() === '' ? {} : { model: model.trim() }),
      // An empty field keeps the limit of a key that exists.
      ...(amount.trim() === '' && hasKey ? {} : { limitNano: limit.nano }),
    });
    setBusy(false);
    if (answer.ok) {
      reload();
      setDone(answer.value);
      return announce(words.connected(row.name));
    }
    setFailure(answer.error.message);
    planAgain();
  };

  return (
    <Dialog title={words.title(row.name)} size={680}>
      <form className="dialog-form" onSubmit={submitting(apply)} noValidate>
        {row.needsModel && (
          <TextInput
            label={words.model}
            description={words.modelHint}
            autoComplete="off"
            spellCheck={false}
            data-autofocus
            value={model}
            error={error?.field === 'model' && model !== '' ? error.message : undefined}
            onChange={(event) => setModel(event.currentTarget.value)}
          />
        )}
        <TextInput
          label={strings.limit.field}
          description={strings.limit.hint}
          inputWrapperOrder={['label', 'input', 'description', 'error']}
          placeholder={hasKey ? words.limitKept : strings.limit.placeholder}
          leftSection="$"
          inputMode="decimal"
          autoComplete="off"
          className="amount-field"
          {...(row.needsModel ? {} : { 'data-autofocus': true })}
          value={amount}
          error={limit.ok ? undefined : limit.message}
          onChange={(event) => setAmount(event.currentTarget.value)}
        />
        {plan && plan.warning !== null && (
          <p className="notice" role="status">
            <IconAlertTriangle size={15} />
            {plan.warning}
          </p>
        )}
        {plan && <p>{hasKey ? words.keyKept : words.keyMade(plan.keyName)}</p>}
        {plan && <Diff files={plan.files} />}
        {plan && <Notes notes={plan.notes} />}
        <FormError message={failure ?? (error && error.field !== 'model' ? error.message : null)} />
        <DialogButtons submit={words.connect} busy={busy} disabled={!plan || !limit.ok} />
      </form>
    </Dialog>
  );
}

/** What came of it: checked by a real request, and the key where the person has to enter it. */
function Connected({
  row,
  secret,
  notes,
}: {
  row: ToolRow;
  secret: string | null;
  notes: readonly string[];
}) {
  const [check, setCheck] = useState<Answer<Output<'connect.check'>> | null>(null);
  const [copied, setCopied] = useState(secret === null);
  useEffect(() => {
    if (secret === null) void call('connect.check', { tool: row.id }).then(setCheck);
  }, [row.id, secret]);
  const message = check === null ? words.checking : check.ok ? check.value.message : check.error.message;
  const good = check?.ok === true && check.value.ok;
  return (
    <Dialog title={words.title(row.name)} size={680} keep={!copied}>
      <div className="dialog-form">
        <p className="with-icon">
          <IconCircleCheck size={16} className="good" />
          {words.connected(row.name)}
        </p>
        {secret === null ? (
          <p className="with-icon" role="status">
            {check !== null && !good && <IconAlertTriangle size={16} className="near" />}
            {message}
          </p>
        ) : (
          <>
            <p>{words.enterKey}</p>
            <div className="secret-row">
              <input
                className="secret"
                readOnly
                value={secret}
                aria-label={words.keyOf(row.name)}
                onFocus={(event) => event.currentTarget.select()}
              />
              <CopyButton text={secret} label={words.copyKey} primary onCopied={() => setCopied(true)} />
            </div>
          </>
        )}
        <Notes notes={notes} />
        <div className="dialog-buttons">
          <Button onClick={closeDialog} data-autofocus>
            {strings.common.done}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

export function DisconnectToolDialog({ row }: { row: ToolRow }) {
  const { reload } = useAnswer('connect.list', {});
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [planned, planAgain] = usePlan(row, '', true);
  const plan = planned !== null && 'plan' in planned ? planned.plan : null;
  const error = planned !== null && 'error' in planned ? planned.error.message : null;

  const undo = async () => {
    if (!plan) return;
    setBusy(true);
    const answer = await call('connect.undo', { tool: row.id, planHash: plan.hash });
    setBusy(false);
    if (answer.ok) {
      reload();
      return closeDialog();
    }
    setFailure(answer.error.message);
    planAgain();
  };

  return (
    <Dialog title={words.disconnectTitle(row.name)} size={680}>
      <form className="dialog-form" onSubmit={submitting(undo)} noValidate>
        {plan && <p>{plan.how === 'take-out' ? words.takenOut : words.restored}</p>}
        {plan && <Diff files={plan.files} />}
        <FormError message={failure ?? error} />
        <DialogButtons submit={words.disconnect} busy={busy} disabled={!plan} />
      </form>
    </Dialog>
  );
}

function Notes({ notes }: { notes: readonly string[] }) {
  if (notes.length === 0) return null;
  return (
    <ul className="connect-notes">
      {notes.map((note) => (
        <li key={note}>
          <IconInfoCircle size={14} />
          <span>{note}</span>
        </li>
      ))}
    </ul>
  );
}
