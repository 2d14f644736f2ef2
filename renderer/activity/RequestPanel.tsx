/** One request in full: above all, how its cost came about. */
import { Button } from '@mantine/core';
import { IconChevronDown, IconChevronUp, IconX } from '@tabler/icons-react';
import { useEffect, useEffectEvent, useRef, type ReactNode } from 'react';
import type { RequestDetail, RequestRow } from '#shared/model.ts';
import { formatLimit, formatUsd, formatUsdAlike } from '#shared/money.ts';
import { onSettled, openDialog } from '../actions.ts';
import { formatCalendarDay, formatCount, formatDuration, formatExact } from '../format.ts';
import { hrefOf } from '../router.ts';
import { app, useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { doubtText } from '../strings/doubts.ts';
import { useAnswer } from '../ui/answer.ts';
import { ListState } from '../ui/page.tsx';
import { StatusText, tokenCounts } from './RequestTable.tsx';

const words = strings.activity.panel;

export function RequestPanel({
  id,
  onClose,
  onStep,
}: {
  id: number;
  onClose: () => void;
  onStep: (step: 1 | -1) => void;
}) {
  const asked = useAnswer('requests.get', { id });
  const { reload } = asked;
  useEffect(
    () =>
      onSettled((rows) => {
        if (rows.some((row) => row.id === id)) reload();
      }),
    [id, reload],
  );
  const close = useEffectEvent(onClose);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      // A dialog or menu above it is closed first.
      if (event.key === 'Escape' && !event.defaultPrevented && !app.getState().dialog) close();
    };
    window.addEventListener('keydown', onKeyDown);
    return () => window.removeEventListener('keydown', onKeyDown);
  }, []);
  return (
    <aside className="panel" aria-label={words.title(id)}>
      <div className="panel-head">
        <h2>{words.title(id)}</h2>
        <span className="panel-tools">
          <Tool label={strings.common.previous} onClick={() => onStep(-1)}>
            <IconChevronUp size={16} />
          </Tool>
          <Tool label={strings.common.next} onClick={() => onStep(1)}>
            <IconChevronDown size={16} />
          </Tool>
          <Tool label={words.close} onClick={onClose}>
            <IconX size={16} />
          </Tool>
        </span>
      </div>
      <div className="panel-body">
        <ListState load={asked.load} empty={null} onRetry={asked.reload}>
          {asked.value && <Detail row={asked.value} />}
        </ListState>
      </div>
    </aside>
  );
}

function Tool({ label, onClick, children }: { label: string; onClick: () => void; children: ReactNode }) {
  return (
    <button type="button" className="icon-button" aria-label={label} title={label} onClick={onClick}>
      {children}
    </button>
  );
}

function Detail({ row }: { row: RequestDetail }) {
  return (
    <>
      <Cost row={row} />
      {row.corrections.length > 0 && <Corrections row={row} />}
      <section>
        <h3>{words.tokensTitle}</h3>
        <dl className="facts">
          {tokenCounts(row).map(([label, count]) => (
            <Fact key={label} label={label} amount>
              {formatCount(count)}
            </Fact>
          ))}
          {row.savedNano !== null && row.savedNano > 0 && (
            <Fact label={words.saved} amount>
              {formatUsd(row.savedNano)}
            </Fact>
          )}
        </dl>
      </section>
      <Facts row={row} />
    </>
  );
}

function Cost({ row }: { row: RequestDetail }) {
  const sum = row.computedCostNano;
  const [sumText = '', ...lineTexts] = formatUsdAlike([sum ?? 0, ...row.lineItems.map(({ nano }) => nano)]);
  return (
    <section>
      <div className="panel-cost">
        <span className={row.costNano === null ? 'near' : 'amount'}>
          {row.costNano === null ? strings.activity.unknownCost : formatUsd(row.costNano)}
        </span>
        <CostAction row={row} />
      </div>
      {/* Its flag says of an unpriced one what there is to say. */}
      {row.costNano !== null && <p className="dim">{howOf(row)}</p>}
      {row.flags.map((flag) => (
        <p key={flag} className="panel-flag">
          <span className="flag">{strings.activity.flags[flag].label}</span>
          <span className="dim">{strings.activity.flags[flag].title}</span>
        </p>
      ))}
      {row.lineItems.length > 0 && (
        <table className="line-items">
          <thead>
            <tr>
              <th scope="col">{words.item}</th>
              <th scope="col">{words.itemCount}</th>
              <th scope="col">{words.unit}</th>
              <th scope="col">{words.amount}</th>
            </tr>
          </thead>
          <tbody>
            {row.lineItems.map((line, index) => (
              <tr key={`${line.item} ${line.model ?? ''} ${line.unitNano}`}>
                <th scope="row">
                  {words.items[line.item] ?? line.item}
                  {line.model !== undefined && <span className="dim line-model">{line.model}</span>}
                </th>
                <td>{formatCount(line.count)}</td>
                <td>
                  {formatLimit(line.unitNano)} <span className="dim">{perText(line.per)}</span>
                </td>
                <td>{lineTexts[index]}</td>
              </tr>
            ))}
          </tbody>
          {sum !== null && (
            <tfoot>
              <tr>
                <th scope="row" colSpan={3}>
                  {words.sum}
                </th>
                <td>{sumText}</td>
              </tr>
            </tfoot>
          )}
        </table>
      )}
      <dl className="facts">
        {row.reportedCostNano !== null && (
          <Fact label={words.reported} amount>
            {formatUsd(row.reportedCostNano)}
          </Fact>
        )}
        {row.price !== null && row.price.reportedDiffersNano !== null && (
          <Fact label={words.differs} amount>
            <span className="near">{signedUsd(row.price.reportedDiffersNano)}</span>
          </Fact>
        )}
        {row.lineItems.length === 0 && sum !== null && (
          <Fact label={words.computed} amount>
            {formatUsd(sum)}
          </Fact>
        )}
        <Fact label={words.held} amount>
          {formatUsd(row.heldNano)}
        </Fact>
      </dl>
      {row.price && <PriceUsed price={row.price} />}
    </section>
  );
}

type UsedPrice = NonNullable<RequestDetail['price']>;

/** Where the price is from, what it was adjusted for, and why the cost is not certain. */
function PriceUsed({ price }: { price: UsedPrice }) {
  const { serviceTier, tierPercent, region, aboveTokens, doubts } = price;
  return (
    <div className="panel-price">
      <dl className="facts">
        <Fact label={words.price}>{price.source}</Fact>
        {price.date !== null && !price.source.includes(price.date) && (
          <Fact label={words.priceDate}>{formatCalendarDay(price.date)}</Fact>
        )}
        {serviceTier !== null && (
          <Fact label={words.tier}>
            {serviceTier}
            {tierPercent !== null && ` · ${words.tierShare(tierPercent)}`}
          </Fact>
        )}
        {region !== null && <Fact label={words.region}>{region}</Fact>}
        {aboveTokens !== null && <Fact label={words.band}>{words.above(formatCount(aboveTokens))}</Fact>}
      </dl>
      {(price.guessed || doubts.length > 0) && (
        <>
          <h4>{words.doubts}</h4>
          <ul className="doubts">
            {price.guessed && <li>{words.guessed}</li>}
            {doubts.map((doubt) => (
              <li key={doubt}>{doubtText(doubt)}</li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

function signedUsd(nano: number): string {
  return `${nano < 0 ? '−' : '+'}${formatUsd(Math.abs(nano))}`;
}

function perText(per: number): string {
  if (per === 1_000_000) return words.perMillion;
  if (per === 1_000) return words.perThousand;
  return per === 1 ? words.perOne : `/ ${formatCount(per)}`;
}

function howOf(row: RequestDetail): string {
  if (row.flags.includes('corrected')) return words.how.corrected;
  if (row.billing === 'free') return words.how.free;
  return row.reportedCostNano !== null && row.reportedCostNano === row.costNano
    ? words.how.reported
    : words.how.computed;
}

/** Where a cost is not certain, the way to mend it stands beside it. */
function CostAction({ row }: { row: RequestRow }) {
  const button = useRef<HTMLButtonElement>(null);
  if (row.costNano !== null) {
    return (
      <Button
        ref={button}
        variant="default"
        onClick={() => openDialog({ kind: 'correct-cost', row }, button.current)}
      >
        {strings.activity.correctTitle}
      </Button>
    );
  }
  const setPrice = () => {
    const providerId = app.getState().providers.find((each) => each.slug === row.provider)?.id;
    openDialog(
      {
        kind: 'price',
        row: null,
        model: row.modelAsked,
        ...(providerId === undefined ? {} : { providerId }),
      },
      button.current,
    );
  };
  return (
    <Button ref={button} variant="default" onClick={setPrice}>
      {strings.activity.setPrice}
    </Button>
  );
}

function Corrections({ row }: { row: RequestDetail }) {
  return (
    <section>
      <h3>{words.corrections}</h3>
      <ul className="corrections">
        {row.corrections.map((each) => (
          <li key={each.at}>
            <span className="amount">
              {words.correction(
                each.beforeNano === null ? strings.activity.unknownCost : formatUsd(each.beforeNano),
                formatUsd(each.afterNano),
              )}
            </span>
            <span>{each.reason}</span>
            <time className="dim" dateTime={each.at}>
              {formatExact(each.at)}
            </time>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Facts({ row }: { row: RequestDetail }) {
  const keyName = useApp((state) => state.keys[row.keyId]?.name);
  return (
    <section>
      <h3>{words.facts}</h3>
      <dl className="facts">
        <Fact label={words.at}>{formatExact(row.at)}</Fact>
        <Fact label={strings.activity.columns.key}>
          {keyName === undefined ? (
            strings.activity.deletedKey
          ) : (
            <a href={hrefOf('keys', {}, row.keyId)}>{keyName}</a>
          )}
        </Fact>
        <Fact label={words.provider}>
          {row.provider} · {strings.billing[row.billing]}
        </Fact>
        <Fact label={words.model}>{row.model}</Fact>
        {row.modelAsked !== row.model && <Fact label={words.asked}>{row.modelAsked}</Fact>}
        <Fact label={words.dialect}>
          {row.dialect}
          {row.stream && `, ${words.streamed}`}
        </Fact>
        {row.client !== null && (
          <Fact label={words.client}>
            <a href={hrefOf('activity', { client: row.client })}>{row.client}</a>
          </Fact>
        )}
        {row.session !== null && (
          <Fact label={words.session}>
            <a href={hrefOf('activity', { session: row.session })} title={words.showAll}>
              {row.session}
            </a>
          </Fact>
        )}
        {row.agent !== null && (
          <Fact label={words.agent}>
            <a href={hrefOf('activity', { session: row.session, agent: row.agent })} title={words.showAll}>
              {row.agent}
            </a>
          </Fact>
        )}
        <Fact label={strings.activity.columns.status}>
          <StatusText status={row.status} />
        </Fact>
        {row.firstByteMs !== null && <Fact label={words.firstByte}>{formatDuration(row.firstByteMs)}</Fact>}
        <Fact label={words.total}>{formatDuration(row.durationMs)}</Fact>
        <Fact label={words.settled}>{formatExact(row.settledAt)}</Fact>
      </dl>
    </section>
  );
}

function Fact({ label, amount = false, children }: { label: string; amount?: boolean; children: ReactNode }) {
  return (
    <>
      <dt>{label}</dt>
      <dd className={amount ? 'amount' : undefined}>{children}</dd>
    </>
  );
}
