/**
 * Notices of the operating system. Whether they are shown, and whether now, is the system's: its do-not-disturb holds
 * them back by itself, which is why none of them is ever marked urgent.
 */
import { Notification } from 'electron';
import { messageOf } from '#shared/caught.ts';
import { APP_NAME } from '#shared/defaults.ts';
import type { KeyRow, LimitNotice } from '#shared/model.ts';
import { formatLimit, formatUsd, NANO_PER_USD } from '#shared/money.ts';
import { callsOf, type Gateway, type Log } from './gateway/gateway.ts';
import { thisPeriod } from './overview.ts';

export interface Notices {
  /** Shows a notice, whatever the settings say; `click` runs when it is clicked. */
  tell(notice: Notice): void;
  close(): void;
}

export interface Notice {
  /** A later notice of the same name takes its place. */
  about: string;
  title: string;
  body: string;
  click?: () => void;
  /** Buttons, on the systems that have them: macOS for a signed app, and Windows. */
  actions?: readonly { text: string; run: () => Promise<void> }[];
}

export interface NoticesOptions {
  gateway: Pick<Gateway, 'dispatch' | 'subscribe'>;
  /** Brings the window to the page at this address within it. */
  open: (page: string) => void;
  /** Whether the window is being looked at, which shows what a notice would say. */
  isWatched: () => boolean;
  log: Log;
}

const RAISE_NANO = 5 * NANO_PER_USD;

export function createNotices({ gateway, open, isWatched, log }: NoticesOptions): Notices {
  const call = callsOf(gateway);
  /** Held while they stand: a notice that is collected as garbage no longer says that it was clicked. */
  const shown = new Map<string, Notification>();
  let problem: string | null = null;

  function tell({ about, title, body, click, actions = [] }: Notice): void {
    if (!Notification.isSupported()) return;
    const before = shown.get(about);
    const notification = new Notification({
      title,
      body,
      actions: actions.map(({ text }) => ({ type: 'button', text })),
    });
    const gone = () => {
      if (shown.get(about) === notification) shown.delete(about);
    };
    notification.on('click', () => {
      gone();
      click?.();
    });
    notification.on('action', ({ actionIndex }) => {
      gone();
      actions[actionIndex]?.run().catch((error: unknown) => {
        tell({
          about: `${about} failed`,
          title: `${APP_NAME} could not do that`,
          body: messageOf(error),
          ...(click && { click }),
        });
      });
    });
    notification.on('close', gone);
    notification.on('failed', (_event, error) => {
      gone();
      log.warn({ error }, 'The system did not show a notice.');
    });
    shown.set(about, notification);
    notification.show();
    before?.close();
  }

  const ifWanted = (show: () => void) => {
    void call('settings.get', {}).then(
      ({ notices }) => notices && show(),
      (error: unknown) => log.warn({ error: messageOf(error) }, 'A notice was not shown.'),
    );
  };

  /** Read when it is done: the key may have been given more, or be gone, since the notice was shown. */
  async function raise(id: string): Promise<void> {
    const row = (await call('keys.list', {})).find((each) => each.id === id);
    if (!row) throw new Error('The key was deleted.');
    await call('keys.topUp', { id, amountNano: (row.topUp?.amountNano ?? 0) + RAISE_NANO });
  }

  const unsubscribe = gateway.subscribe((event) => {
    switch (event.name) {
      case 'limit-threshold':
        return ifWanted(() => tell(limitNotice(event.data)));
      case 'key-paused':
        return ifWanted(() => tell(pauseNotice(event.data)));
      case 'status-changed': {
        const before = problem;
        problem = event.data.problem;
        if (problem === null || problem === before || isWatched()) return;
        const body = problem;
        return ifWanted(() =>
          tell({ about: 'problem', title: `${APP_NAME} needs attention`, body, click: () => open('') }),
        );
      }
      default:
    }
  });

  function limitNotice(notice: LimitNotice): Notice {
    const { scope, id, name, percent, usedNano, limitNano, every, resetsAt } = notice;
    const reached = usedNano >= limitNano;
    const page = scope === 'key' ? `#/keys/${encodeURIComponent(id)}` : '#/limits';
    const used = `${formatUsd(usedNano)} of ${formatLimit(limitNano)}${every === null ? '' : ` ${thisPeriod[every]}`}`;
    const next = resetsAt === null ? '' : ` It resets ${formatMoment(resetsAt)}.`;
    return {
      about: `${scope} ${id}`,
      title: reached ? `${name}: limit reached` : `${name}: ${percent}% of the limit is used`,
      body: `${used}.${reached ? ' Further requests are refused.' : ''}${next}`,
      click: () => open(page),
      ...(scope === 'key' && {
        actions: [
          {
            text: `Raise by ${formatLimit(RAISE_NANO)}${every === null ? '' : ' until it resets'}`,
            run: () => raise(id),
          },
          {
            text: 'Open',
            async run() {
              open(page);
            },
          },
          {
            text: 'Stop the key',
            async run() {
              await call('keys.update', { id, enabled: false });
            },
          },
        ],
      }),
    };
  }

  function pauseNotice({ id, name, pause }: KeyRow): Notice {
    const page = `#/keys/${encodeURIComponent(id)}`;
    return {
      about: `key ${id}`,
      title: `${name} is paused`,
      body: `It sent the same request ${pause?.count ?? 'many'} times in a row. Resume it once its tool is put right.`,
      click: () => open(page),
      actions: [
        {
          text: 'Resume',
          async run() {
            await call('keys.resume', { id });
          },
        },
        {
          text: 'Open',
          async run() {
            open(page);
          },
        },
      ],
    };
  }

  return {
    tell,
    close() {
      unsubscribe();
      for (const notification of shown.values()) notification.close();
      shown.clear();
    },
  };
}

/** `at 15:00` today, else `on Mon 2 Mar, 00:00`, in the person's own time and language. */
function formatMoment(at: string, now = new Date()): string {
  const date = new Date(at);
  const time = date.toLocaleTimeString(undefined, { hour: 'numeric', minute: '2-digit' });
  if (date.toDateString() === now.toDateString()) return `at ${time}`;
  const day = date.toLocaleDateString(undefined, { weekday: 'short', day: 'numeric', month: 'short' });
  return `on ${day}, ${time}`;
}
