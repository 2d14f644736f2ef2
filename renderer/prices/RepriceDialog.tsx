import { useState } from 'react';
import { formatLimit, formatUsd } from '#shared/money.ts';
import type { Repricing } from '#shared/pricing.ts';
import { announce, call, closeDialog, loadPrices } from '../actions.ts';
import { formatCount } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useAnswer } from '../ui/answer.ts';
import { notifyDone } from '../ui/notify.ts';
import { Dialog, DialogButtons, FormError, ListState, submitting } from '../ui/page.tsx';
import { amountsText } from './amounts.ts';

const words = strings.prices.reprice;

/** What pricing the past requests again would change, before it is done. */
export function RepriceDialog({ providerId, model }: { providerId: string; model: string }) {
  const { value, load, reload } = useAnswer('prices.reprice', { providerId, model, apply: false });
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const apply = async () => {
    setBusy(true);
    const answer = await call('prices.reprice', { providerId, model, apply: true });
    setBusy(false);
    if (!answer.ok) return setFailure(answer.error.message);
    const done = words.done(answer.value.rows, formatUsd(answer.value.totalNano));
    notifyDone(done);
    announce(done);
    // The list of models without a price is asked for again with the prices.
    void loadPrices();
    closeDialog();
  };
  return (
    <Dialog title={words.title} size={560}>
      <form className="dialog-form" onSubmit={submitting(apply)}>
        <ListState load={load} empty={null} onRetry={reload}>
          {value !== null && <Preview found={value} />}
        </ListState>
        <FormError message={failure} />
        <DialogButtons
          submit={words.submit(value?.rows ?? 0)}
          cancel={words.later}
          busy={busy}
          disabled={value === null || value.rows === 0}
        />
      </form>
    </Dialog>
  );
}

function Preview({ found }: { found: Repricing }) {
  const provider = useApp((state) => state.providers.find(({ slug }) => slug === found.provider)?.name);
  const reaching = found.keys.filter(({ reachesLimit }) => reachesLimit).length;
  if (found.rows + found.left === 0) return <p>{words.nothing(found.model)}</p>;
  return (
    <>
      <p>{words.text(found.rows, found.model, provider ?? found.provider)}</p>
      <dl className="facts">
        <dt>{words.price}</dt>
        <dd>{priceText(found)}</dd>
        <dt>{words.total}</dt>
        <dd className="amount">{formatUsd(found.totalNano)}</dd>
        {found.left > 0 && (
          <>
            <dt title={words.leftHint}>{words.left}</dt>
            <dd className="amount near" title={words.leftHint}>
              {formatCount(found.left)}
            </dd>
          </>
        )}
      </dl>
      {found.keys.length > 0 && (
        <div className="table-frame dialog-table">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{words.columns.key}</th>
                <th scope="col" className="end">
                  {words.columns.rows}
                </th>
                <th scope="col" className="end">
                  {words.columns.add}
                </th>
                <th scope="col" className="end">
                  {words.columns.after}
                </th>
                <th scope="col" className="end">
                  {words.columns.limit}
                </th>
              </tr>
            </thead>
            <tbody>
              {found.keys.map((key) => (
                <tr key={key.keyId}>
                  <th scope="row" className="name">
                    {key.name ?? <span className="dim">{strings.activity.deletedKey}</span>}
                  </th>
                  <td className="end amount">{formatCount(key.rows)}</td>
                  <td className="end amount">{formatUsd(key.addNano)}</td>
                  <td className={key.reachesLimit ? 'end amount bad' : 'end amount'}>
                    {formatUsd(key.usageAfterNano)}
                  </td>
                  <td className="end amount">
                    {key.limitNano === null ? '' : formatLimit(key.limitNano)}
                    {key.reachesLimit && <div className="bad">{words.reaches}</div>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {reaching > 0 && <p className="warning">{words.warning(reaching)}</p>}
    </>
  );
}

function priceText({ source, amounts }: Repricing): string {
  if (source === null || amounts === null) return strings.common.none;
  return words.priceOf(source === 'own' ? strings.prices.inForceKinds.own : source, amountsText(amounts));
}
