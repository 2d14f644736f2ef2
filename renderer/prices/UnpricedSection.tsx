import { Button } from '@mantine/core';
import type { UnpricedModel } from '#shared/pricing.ts';
import { openDialog } from '../actions.ts';
import { formatCompact, formatCount } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useAnswer } from '../ui/answer.ts';
import { When } from '../ui/time.tsx';
import { usePriceChanges } from './changes.ts';

const words = strings.prices.unpriced;

/** There only where there is something to mend. */
export function UnpricedSection() {
  const { value, reload } = useAnswer('prices.unpriced', {}, { live: true });
  usePriceChanges(reload);
  if (value === null || value.length === 0) return null;
  return (
    <section className="section" aria-labelledby="unpriced-models">
      <h2 id="unpriced-models">{words.title}</h2>
      <p className="intro dim">{words.text}</p>
      <div className="table-frame wide-table keep-last">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{words.columns.model}</th>
              <th scope="col">{words.columns.provider}</th>
              <th scope="col" className="end">
                {words.columns.served}
              </th>
              <th scope="col" className="end">
                {words.columns.tokens}
              </th>
              <th scope="col" className="end" title={words.refusedTitle}>
                {words.columns.refused}
              </th>
              <th scope="col">{words.columns.last}</th>
              <th scope="col" className="end">
                {strings.common.actions}
              </th>
            </tr>
          </thead>
          <tbody>
            {value.map((row) => (
              <Row key={`${row.provider} ${row.model}`} row={row} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Row({ row }: { row: UnpricedModel }) {
  const name = useApp((state) => state.providers.find((each) => each.id === row.providerId)?.name);
  return (
    <tr>
      <th scope="row" className="name" title={row.model}>
        <code>{row.model}</code>
      </th>
      <td>{name ?? row.provider}</td>
      <td className="end amount">{formatCount(row.requests)}</td>
      <td className="end amount">
        {row.requests === 0 ? '–' : `${formatCompact(row.inputTokens)} / ${formatCompact(row.outputTokens)}`}
      </td>
      <td className="end amount">{row.refused === 0 ? '–' : formatCount(row.refused)}</td>
      <td className="dim nowrap">
        <When iso={row.lastAt} />
      </td>
      <td className="end">
        <Action row={row} />
      </td>
    </tr>
  );
}

function Action({ row: { providerId, model, priced } }: { row: UnpricedModel }) {
  if (providerId === null) return <span className="dim">{words.providerGone}</span>;
  if (priced) {
    return (
      <Button
        size="compact-xs"
        aria-label={words.repriceFor(model)}
        onClick={() => openDialog({ kind: 'reprice', providerId, model })}
      >
        {words.reprice}
      </Button>
    );
  }
  return (
    <Button
      size="compact-xs"
      aria-label={words.setFor(model)}
      onClick={() => openDialog({ kind: 'price', row: null, providerId, model })}
    >
      {words.set}
    </Button>
  );
}
