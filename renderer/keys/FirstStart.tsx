/** The way from nothing to the first metered request; there until a provider and a key exist. */
import { Button } from '@mantine/core';
import { IconCheck } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { openDialog } from '../actions.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';

const words = strings.start;

export function useFirstStart(): boolean {
  return useApp(
    (state) =>
      state.providersLoad.state === 'ready' &&
      state.keysLoad.state === 'ready' &&
      (state.providers.length === 0 || state.keyOrder.length === 0),
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
            variant={hasProvider ? 'filled' : 'default'}
            onClick={() => openDialog({ kind: 'create-key' })}
          >
            {words.key}
          </Button>
        </Step>
        <Step number={3} title={words.snippet} text={words.snippetText} done={false} />
      </ol>
    </section>
  );
}

function Step({
  number,
  title,
  text,
  done,
  children,
}: {
  number: number;
  title: string;
  text: string;
  done: boolean;
  children?: ReactNode;
}) {
  return (
    <li className={done ? 'done' : undefined}>
      <span className="step-mark" role="img" aria-label={done ? words.done : words.step(number)}>
        {done ? <IconCheck size={14} /> : number}
      </span>
      <div>
        <h3>{title}</h3>
        <p className="dim">{text}</p>
      </div>
      {!done && children}
    </li>
  );
}
