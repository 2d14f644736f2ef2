/** The way from nothing to the first metered request; there until one was metered. */
import { Button } from '@mantine/core';
import { IconCheck } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { openDialog } from '../actions.ts';
import { hrefOf } from '../router.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';

const words = strings.start;

export function useFirstStart(): boolean {
  return useApp(
    (state) =>
      state.providersLoad.state === 'ready' &&
      state.keysLoad.state === 'ready' &&
      (state.providers.length === 0 || state.keyOrder.length === 0 || state.status?.totals.requests === 0),
  );
}

export function FirstStart() {
  const hasProvider = useApp((state) => state.providers.length > 0);
  const hasKey = useApp((state) => state.keyOrder.length > 0);
  return (
    <section className="start" aria-labelledby="start-title">
      <h2 id="start-title">{words.title}</h2>
      <p className="dim">{words.text}</p>
      <ol>
        <Step number={1} title={words.provider} text={words.providerText} done={hasProvider}>
          <Button
            variant={hasProvider ? 'default' : 'filled'}
            onClick={() => openDialog({ kind: 'provider', id: null })}
          >
            {words.provider}
          </Button>
        </Step>
        <Step number={2} title={words.key} text={words.keyText} done={hasKey}>
          <Button
            variant={hasProvider && !hasKey ? 'filled' : 'default'}
            onClick={() => openDialog({ kind: 'create-key' })}
          >
            {words.key}
          </Button>
        </Step>
        <Step
          number={3}
          title={words.request}
          text={words.requestText}
          done={false}
          waiting={hasProvider && hasKey}
        >
          <Button
            component="a"
            href={hrefOf('connect')}
            variant={hasProvider && hasKey ? 'filled' : 'default'}
          >
            {words.connect}
          </Button>
        </Step>
      </ol>
    </section>
  );
}

/** Where a page has nothing to show yet: the way to what fills it. */
export function NextStep() {
  const firstStart = useFirstStart();
  const ready = useApp((state) => state.providers.length > 0 && state.keyOrder.length > 0);
  return (
    <Button component="a" variant="default" href={hrefOf(firstStart && !ready ? 'keys' : 'connect')}>
      {firstStart && !ready ? words.title : words.connect}
    </Button>
  );
}

function Step({
  number,
  title,
  text,
  done,
  waiting = false,
  children,
}: {
  number: number;
  title: string;
  text: string;
  done: boolean;
  /** What it asks for is done elsewhere and shows here by itself. */
  waiting?: boolean;
  children?: ReactNode;
}) {
  return (
    <li className={done ? 'done' : undefined}>
      <span className="step-mark" role="img" aria-label={done ? words.done : words.step(number)}>
        {done ? <IconCheck size={14} /> : number}
      </span>
      <div>
        <h3>{title}</h3>
        {!done && <p className="dim">{text}</p>}
        {waiting && <p className="step-waiting">{words.waiting}</p>}
      </div>
      {!done && children}
    </li>
  );
}
