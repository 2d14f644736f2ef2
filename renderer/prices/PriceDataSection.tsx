import { Button, Switch } from '@mantine/core';
import { IconRefresh } from '@tabler/icons-react';
import { useState } from 'react';
import type { PriceDataInfo, PriceRefresh } from '#shared/pricing.ts';
import { announce, call, saveSettings } from '../actions.ts';
import { formatCalendarDay, formatCount } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useAnswer } from '../ui/answer.ts';
import { notifyFailure } from '../ui/notify.ts';
import { Ago } from '../ui/time.tsx';
import { usePriceChanges } from './changes.ts';

const words = strings.prices.data;

export function PriceDataSection() {
  const { value: info, reload } = useAnswer('prices.data', {});
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<PriceRefresh | null>(null);
  usePriceChanges(reload);

  const refresh = async () => {
    setBusy(true);
    setOutcome(null);
    const answer = await call('prices.refresh', {});
    setBusy(false);
    if (!answer.ok) return notifyFailure(answer.error.message);
    setOutcome(answer.value);
    announce(answer.value.message);
    reload();
  };

  // Its place is kept, so that nothing below it moves when it comes.
  if (info === null) return <div className="section price-data price-data-waiting" />;
  const problem = outcome === null ? info.problem : null;
  const failed = outcome !== null && (outcome.outcome === 'refused' || outcome.outcome === 'unreachable');
  return (
    <section className="section price-data" aria-labelledby="price-data">
      <div>
        <h2 id="price-data">{words.title}</h2>
        <p>
          {described(info)}{' '}
          <span className="dim">{words.size(formatCount(info.models), formatCount(info.vendors))}</span>
        </p>
        {info.checkedAt !== null && (
          <p className="dim">
            {words.checked}: <Ago iso={info.checkedAt} />
          </p>
        )}
        {outcome !== null && <p className={failed ? 'near' : 'good'}>{outcome.message}</p>}
        {problem !== null && <p className="near">{problem}</p>}
      </div>
      <div className="price-data-tools">
        <Button
          variant="default"
          leftSection={<IconRefresh size={15} />}
          loading={busy}
          onClick={() => void refresh()}
        >
          {words.refresh}
        </Button>
        <PriceUpdatesSwitch />
      </div>
      <p className="hint">{words.dailyHint(new URL(info.url).host)}</p>
    </section>
  );
}

function PriceUpdatesSwitch({ description }: { description?: string }) {
  const daily = useApp((state) => state.settings?.priceUpdates);
  const setDaily = async (priceUpdates: boolean) => {
    const answer = await saveSettings({ priceUpdates });
    if (!answer.ok) notifyFailure(answer.error.message, strings.settings.notSaved);
  };
  return (
    <Switch
      label={words.daily}
      description={description}
      checked={daily ?? false}
      disabled={daily === undefined}
      onChange={(event) => void setDaily(event.currentTarget.checked)}
    />
  );
}

/** The same switch among the settings, with what it fetches. */
export function PriceUpdatesSetting() {
  const { value: info } = useAnswer('prices.data', {});
  // As long before it is known as it will be, so that nothing below it moves.
  const host = info ? new URL(info.url).host : '…'.repeat(24);
  return <PriceUpdatesSwitch description={words.dailyHint(host)} />;
}

function described({ name, date, origin }: PriceDataInfo): string {
  return origin === 'shipped'
    ? words.shipped(name, formatCalendarDay(date))
    : words.fetched(formatCalendarDay(date));
}
