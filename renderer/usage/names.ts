import { useCallback, useSyncExternalStore } from 'react';
import { dates } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import type { Grouping, Step } from './series.ts';

const day = dates({ day: 'numeric', month: 'short' });
const month = dates({ month: 'short', year: '2-digit' });

export const formatDay = (at: Date) => day.format(at);
export const barLabel = (at: Date, every: Step) => (every === 'month' ? month : day).format(at);

/** What a group is called: a key by its name, everything else by itself. */
export function useNameOf(by: Grouping): (group: string) => string {
  // Joined, so that pushed numbers of the same keys draw nothing again.
  const joined = useApp((state) =>
    by === 'key' ? state.keyOrder.map((id) => `${id}\t${state.keys[id]?.name ?? ''}`).join('\n') : '',
  );
  return useCallback(
    (group) => {
      if (by !== 'key') return group === '' ? strings.usage.noGroup[by] : group;
      const line = joined.split('\n').find((each) => each.startsWith(`${group}\t`));
      return line === undefined ? strings.usage.noGroup.key : line.slice(group.length + 1);
    },
    [by, joined],
  );
}

/** The minute that runs, as its first millisecond. */
export function useMinute(): number {
  return useSyncExternalStore(onMinute, startOfMinute);
}

const startOfMinute = () => new Date().setSeconds(0, 0);
const startOfDay = () => new Date().setHours(0, 0, 0, 0);

/** The local day, as its first millisecond; a window that stays open over midnight goes on with the next. */
export function useToday(): number {
  return useSyncExternalStore(onMinute, startOfDay);
}

function onMinute(tell: () => void): () => void {
  const timer = setInterval(tell, 60_000);
  return () => clearInterval(timer);
}
