import type { Every } from '#shared/model.ts';

/** Limits that keys share, top-ups, the pause and the loop brake. */
const only: Record<Every, string> = {
  hour: 'this hour only',
  day: 'today only',
  week: 'this week only',
  month: 'this month only',
};

export const limits = {
  intro: 'These apply in addition to each key’s own limits: a request has to fit into all of them.',
  allKeys: 'All keys together',
  providers: 'Per provider',
  noProviders: 'There is no provider yet.',
  columns: { provider: 'Provider', usage: 'Usage', limit: 'Limit' },
  edit: (whose: string) => `Edit usage limit of ${whose}`,
  whose: 'Limit of',
  gone: 'This provider no longer exists.',
  toast: 'Limit changed.',
  unpricedHint: 'While it applies, models without a price are refused to every key.',
  loop: {
    title: 'Loop brake',
    text: 'Pauses a key that keeps sending the same request, one after the other, until you resume it.',
    on: 'Pause keys that loop',
    requests: 'Same requests in a row',
    seconds: 'Within (seconds)',
    agentsOnly: 'Only the steps of agents',
    agentsOnlyHint:
      'Requests with tools, at the pace of a model. Turned off, scripts and benchmarks that repeat a prompt count as well.',
    invalid: 'Enter whole numbers: at least 2 requests, and 1 to 86,400 seconds.',
    saved: 'Saved.',
  },
  pause: {
    pauseTitle: 'Pause: refuse new requests, let running ones finish',
    resume: 'Resume',
    stopAll: 'Stop all and pause',
    stopRunning: (count: number) => `Stop ${count} running`,
    stopAllTitle: 'Stop every running request now, and refuse new ones until you resume',
    banner: 'Faregate is paused. New requests are refused until you resume.',
    stopped: (count: number) =>
      `${count === 0 ? 'No request was' : count === 1 ? '1 request was' : `${count} requests were`} stopped. Faregate is paused.`,
    failed: 'Faregate was not paused',
    resumeFailed: 'Faregate was not resumed',
  },
  key: {
    paused: 'Paused',
    pausedTitle: (count: number) =>
      `The same request came ${count} times in a row, which looks like a loop. New requests are refused until you resume.`,
    resume: 'Resume',
    resumeOf: (name: string) => `Resume ${name}`,
    resumeFailed: (name: string) => `${name} was not resumed`,
  },
  topUp: {
    title: 'Top up',
    none: (every: Every | null) =>
      `On top of the limit, ${every === null ? 'until you remove it' : only[every]}:`,
    current: (amount: string) => `+${amount} on top`,
    until: 'until',
    untilRemoved: 'until you remove it',
    add: (amount: string) => `+${amount}`,
    addLabel: (amount: string) => `Top up by ${amount}`,
    remove: 'Remove',
  },
} as const;
