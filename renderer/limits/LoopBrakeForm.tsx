import { Button, Checkbox, Switch, TextInput } from '@mantine/core';
import { useState } from 'react';
import { defaultSettings } from '#shared/defaults.ts';
import { LoopBrakeSettings } from '#shared/model.ts';
import { saveSettings } from '../actions.ts';
import { strings } from '../strings.ts';
import { notifyFailure } from '../ui/notify.ts';
import { FormError, submitting } from '../ui/page.tsx';

const words = strings.limits.loop;
const initial: LoopBrakeSettings = defaultSettings.loopBrake ?? {
  requests: 30,
  seconds: 60,
  agentsOnly: true,
};

export function LoopBrakeForm({ brake }: { brake: LoopBrakeSettings | null }) {
  const stored = brake ?? initial;
  /** null = as it is stored. */
  const [typed, setTyped] = useState<{ requests: string; seconds: string } | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [done, setDone] = useState(false);
  const shown = typed ?? { requests: String(stored.requests), seconds: String(stored.seconds) };

  const apply = async (loopBrake: LoopBrakeSettings | null) => {
    const answer = await saveSettings({ loopBrake });
    if (!answer.ok) notifyFailure(answer.error.message, strings.settings.notSaved);
    return answer.ok;
  };
  const save = async () => {
    const read = LoopBrakeSettings.safeParse({
      requests: wholeNumber(shown.requests),
      seconds: wholeNumber(shown.seconds),
      agentsOnly: stored.agentsOnly,
    });
    if (!read.success) return setError(words.invalid);
    if (!(await apply(read.data))) return;
    setTyped(null);
    setDone(true);
  };
  const type = (change: Partial<typeof shown>) => {
    setTyped({ ...shown, ...change });
    setError(null);
    setDone(false);
  };

  return (
    <section className="loop-brake" aria-labelledby="loop-brake">
      <h2 id="loop-brake">{words.title}</h2>
      <p className="dim">{words.text}</p>
      <Switch
        label={words.on}
        checked={brake !== null}
        onChange={(event) => void apply(event.currentTarget.checked ? stored : null)}
      />
      {brake !== null && (
        <form className="dialog-form" onSubmit={submitting(save)} noValidate>
          <div className="field-row">
            <TextInput
              label={words.requests}
              inputMode="numeric"
              autoComplete="off"
              value={shown.requests}
              onChange={(event) => type({ requests: event.currentTarget.value })}
            />
            <TextInput
              label={words.seconds}
              inputMode="numeric"
              autoComplete="off"
              value={shown.seconds}
              onChange={(event) => type({ seconds: event.currentTarget.value })}
            />
          </div>
          <FormError message={error} />
          {typed !== null && (
            <div>
              <Button type="submit" size="compact-sm">
                {strings.common.save}
              </Button>
            </div>
          )}
          <p className="setting-done" role="status">
            {done && words.saved}
          </p>
          <Checkbox
            label={words.agentsOnly}
            description={words.agentsOnlyHint}
            checked={brake.agentsOnly}
            onChange={(event) => void apply({ ...brake, agentsOnly: event.currentTarget.checked })}
          />
        </form>
      )}
    </section>
  );
}

function wholeNumber(text: string): number {
  const bare = text.trim().replaceAll(',', '');
  return /^\d+$/.test(bare) ? Number(bare) : Number.NaN;
}
