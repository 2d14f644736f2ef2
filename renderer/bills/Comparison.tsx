import { Switch } from '@mantine/core';
import { IconAlertTriangle, IconCheck, IconChevronRight } from '@tabler/icons-react';
import { useState } from 'react';
import { formatUsd } from '#shared/money.ts';
import type { BillRow, ClassComparison, Reconciliation } from '#shared/reconciliation.ts';
import { formatCalendarDay, formatCount } from '../format.ts';
import { strings } from '../strings.ts';

const words = strings.bills;

export function Comparison({ found }: { found: Reconciliation }) {
  const { totals } = found;
  const [all, setAll] = useState(false);
  const money = totals.billedNano !== null;
  const rows = found.rows.filter(({ within }) => all || !within);
  const agrees = totals.within && totals.outside === 0;
  return (
    <section aria-labelledby="comparison">
      <div className="comparison-head">
        <h2 id="comparison">
          {words.heading(found.formatName, formatCalendarDay(found.from), formatCalendarDay(found.to))}
        </h2>
        <span className={agrees ? 'with-icon good' : 'with-icon near'}>
          {agrees ? <IconCheck size={15} /> : <IconAlertTriangle size={15} />}
          {agrees
            ? words.agrees(found.tolerancePercent)
            : totals.outside > 0
              ? words.differs(totals.outside)
              : percentText(totals.percent)}
        </span>
      </div>
      <p className="dim">{words.comparedWith(found.providers.join(', '))}</p>
      <dl className="comparison-totals">
        <Figure
          label={words.export}
          text={money ? formatUsd(totals.billedNano ?? 0) : tokensOf(totals.classes, 'billedTokens')}
        />
        <Figure
          label={words.ledger}
          text={money ? formatUsd(totals.ledgerNano) : tokensOf(totals.classes, 'ledgerTokens')}
        />
        <Figure
          label={words.difference}
          text={[
            totals.differenceNano === null ? '' : signedUsd(totals.differenceNano),
            percentText(totals.percent),
          ]
            .filter(Boolean)
            .join(' · ')}
          bad={!totals.within}
        />
      </dl>
      {found.notes.map((note) => (
        <p key={note} className="near">
          {note}
        </p>
      ))}
      {found.causes.length > 0 && (
        <div className="causes">
          <h3>{words.causes}</h3>
          <ul>
            {found.causes.map((cause) => (
              <li key={cause}>{withDays(cause)}</li>
            ))}
          </ul>
        </div>
      )}
      <Switch
        className="show-all"
        label={words.showAll}
        checked={all}
        onChange={(event) => setAll(event.currentTarget.checked)}
      />
      {rows.length === 0 ? <p className="dim">{words.noDifference}</p> : <Rows rows={rows} money={money} />}
      {totals.classes.length > 0 && (
        <>
          <h3>{words.byClass}</h3>
          <div className="table-frame classes-frame">
            <Classes classes={totals.classes} />
          </div>
        </>
      )}
    </section>
  );
}

function Figure({ label, text, bad = false }: { label: string; text: string; bad?: boolean }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd className={bad ? 'amount near' : 'amount'}>{text}</dd>
    </div>
  );
}

function Rows({ rows, money }: { rows: readonly BillRow[]; money: boolean }) {
  return (
    <div className="table-frame wide-table">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{words.day}</th>
            <th scope="col">{words.model}</th>
            <th scope="col" className="end">
              {words.requests}
            </th>
            <th scope="col" className="end">
              {words.export}
            </th>
            <th scope="col" className="end">
              {words.ledger}
            </th>
            <th scope="col" className="end">
              {words.difference}
            </th>
            <th scope="col" className="wide">
              {words.note}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Row key={`${row.day} ${row.model ?? ''}`} row={row} money={money} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ row, money }: { row: BillRow; money: boolean }) {
  const [open, setOpen] = useState(false);
  const model = row.model ?? words.noModel;
  const note = noteOf(row);
  return (
    <>
      <tr>
        <td className="nowrap amount">{formatCalendarDay(row.day)}</td>
        <th scope="row" className="name">
          {row.classes.length === 0 ? (
            model
          ) : (
            <button
              type="button"
              className="fold"
              aria-expanded={open}
              aria-label={words.details(model, row.day)}
              onClick={() => setOpen(!open)}
            >
              <IconChevronRight size={14} />
              {model}
            </button>
          )}
          {note !== '' && <div className="hint narrow-note">{note}</div>}
        </th>
        <td className="end amount dim">
          {row.billedRequests === null
            ? formatCount(row.requests)
            : `${formatCount(row.billedRequests)} / ${formatCount(row.requests)}`}
        </td>
        <td className="end amount">
          {money
            ? row.billedNano === null
              ? ''
              : formatUsd(row.billedNano)
            : tokensOf(row.classes, 'billedTokens')}
        </td>
        <td className="end amount">
          {money ? formatUsd(row.ledgerNano) : tokensOf(row.classes, 'ledgerTokens')}
        </td>
        <td className={row.within ? 'end amount dim' : 'end amount near'}>
          {[row.differenceNano === null ? '' : signedUsd(row.differenceNano), percentText(row.percent)]
            .filter(Boolean)
            .join(' · ')}
        </td>
        <td className="dim wide">{note}</td>
      </tr>
      {open && (
        <tr className="classes-row">
          <td colSpan={7}>
            <Classes classes={row.classes} />
          </td>
        </tr>
      )}
    </>
  );
}

function Classes({ classes }: { classes: readonly ClassComparison[] }) {
  const money = classes.some(({ billedNano }) => billedNano !== null);
  const tokens = classes.some(({ billedTokens }) => billedTokens !== null);
  return (
    <table className="table classes">
      <thead>
        <tr>
          <th scope="col">{words.className}</th>
          <th scope="col" className="end">
            {words.export}
          </th>
          <th scope="col" className="end">
            {words.ledger}
          </th>
        </tr>
      </thead>
      <tbody>
        {classes.map((each) => (
          <tr key={each.class}>
            <th scope="row">{words.classes[each.class]}</th>
            <td className="end amount">{sideText(each.billedNano, each.billedTokens, money, tokens)}</td>
            <td className="end amount">{sideText(each.ledgerNano, each.ledgerTokens, money, tokens)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** What the export compares by, money or tokens or both; the ledger has both always. */
function sideText(nano: number | null, tokens: number | null, money: boolean, counted: boolean): string {
  const parts = [
    money && nano !== null ? formatUsd(nano) : '',
    counted && tokens !== null ? words.tokens(formatCount(tokens)) : '',
  ];
  return parts.filter(Boolean).join(' · ') || '–';
}

function noteOf(row: BillRow): string {
  return [
    row.side === 'export' ? words.onlyExport : row.side === 'ledger' ? words.onlyLedger : '',
    row.unpriced > 0 ? words.unpriced(formatCount(row.unpriced)) : '',
    row.estimated > 0 ? words.estimated(formatCount(row.estimated)) : '',
  ]
    .filter(Boolean)
    .join(', ');
}

function tokensOf(classes: readonly ClassComparison[], side: 'billedTokens' | 'ledgerTokens'): string {
  return words.tokens(formatCount(classes.reduce((total, each) => total + (each[side] ?? 0), 0)));
}

const sign = (value: number) => (value > 0 ? '+' : value < 0 ? '−' : '');
const signedUsd = (nano: number) => `${sign(nano)}${formatUsd(Math.abs(nano))}`;

function percentText(percent: number | null): string {
  if (percent === null) return '';
  const size = Math.abs(percent);
  return `${sign(percent)}${size.toFixed(size < 10 ? 2 : 1)}%`;
}

/** The sentences are the gateway's, with days as it counts them; here they read as the days beside them. */
const withDays = (text: string) => text.replaceAll(/\b\d{4}-\d{2}-\d{2}\b/g, formatCalendarDay);
