/** Limits beside those of single keys: over all of them, per provider, and the brake for loops. */
import { IconPencil } from '@tabler/icons-react';
import type { LimitScope, ScopeLimit } from '#shared/model.ts';
import { formatUsd } from '#shared/money.ts';
import { loadLimits, openDialog } from '../actions.ts';
import { limitProgress } from '../format.ts';
import { LimitSummary } from '../keys/LimitSummary.tsx';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Bar } from '../ui/Bar.tsx';
import { ListState, Page } from '../ui/page.tsx';
import { LoopBrakeForm } from './LoopBrakeForm.tsx';

const words = strings.limits;

export function LimitsPage() {
  const limits = useApp((state) => state.limits);
  const load = useApp((state) => state.limitsLoad);
  const settings = useApp((state) => state.settings);
  const providers = limits?.providers ?? [];
  return (
    <Page title={strings.pages.limits}>
      <ListState load={load} empty={null} onRetry={() => void loadLimits()}>
        <p className="intro dim">{words.intro}</p>
        <div className="table-frame">
          <table className="table limits" aria-label={strings.pages.limits}>
            <thead>
              <tr>
                <th scope="col">{words.whose}</th>
                <th scope="col">{words.columns.usage}</th>
                <th scope="col">{words.columns.limit}</th>
              </tr>
            </thead>
            <tbody>
              {limits && <Row scope={{ kind: 'global' }} whose={words.allKeys} limit={limits.global} />}
              {providers.map((limit) => (
                <Row
                  key={limit.providerId}
                  scope={{ kind: 'provider', providerId: limit.providerId }}
                  whose={limit.name}
                  limit={limit}
                />
              ))}
            </tbody>
          </table>
        </div>
        {settings && <LoopBrakeForm brake={settings.loopBrake} />}
      </ListState>
    </Page>
  );
}

function Row({ scope, whose, limit }: { scope: LimitScope; whose: string; limit: ScopeLimit }) {
  const progress = limitProgress(limit);
  return (
    <tr>
      <th scope="row" className="name" title={whose}>
        {whose}
      </th>
      <td>
        <span className="usage-line">
          <span className="amount">{formatUsd(limit.usageNano)}</span>
          {limit.heldNano > 0 && (
            <span className="held amount">{strings.keys.held(formatUsd(limit.heldNano))}</span>
          )}
        </span>
        {progress && <Bar used={progress.used} held={progress.held} state={limit.limitState} />}
      </td>
      <td>
        <div className="limit-cell">
          <LimitSummary row={limit} />
          <button
            type="button"
            className="icon-button"
            aria-label={words.edit(whose)}
            title={strings.limit.title}
            onClick={(event) => openDialog({ kind: 'scope-limit', scope }, event.currentTarget)}
          >
            <IconPencil size={15} />
          </button>
        </div>
      </td>
    </tr>
  );
}
