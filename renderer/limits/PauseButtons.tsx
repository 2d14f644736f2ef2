/** Holds the whole gateway back, from wherever the person is: the header's buttons and the banner while it is paused. */
import { Button } from '@mantine/core';
import { IconHandStop, IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { setPaused, stopAll } from './actions.ts';

const words = strings.limits.pause;

export function PauseButton() {
  const paused = useApp((state) => state.status?.paused ?? true);
  const online = useApp((state) => state.connection === 'online');
  // Its place is kept, so that the address beside it stays where it is.
  if (paused || !online) return <span className="icon-gap" />;
  return (
    <button
      type="button"
      className="icon-button"
      aria-label={words.pauseTitle}
      title={words.pauseTitle}
      onClick={() => void setPaused(true)}
    >
      <IconPlayerPause size={15} />
    </button>
  );
}

/** There while something runs, so it stands where nothing is moved by its coming and going. */
export function StopButton() {
  const running = useApp((state) => state.status?.totals.running ?? 0);
  const online = useApp((state) => state.connection === 'online');
  if (running === 0 || !online) return null;
  return (
    <Button
      variant="default"
      size="compact-sm"
      // What is seen of it, and what it does.
      aria-label={`${words.stopRunning(running)}: ${words.stopAll}`}
      title={words.stopAllTitle}
      leftSection={<IconHandStop size={13} />}
      onClick={() => void stopAll()}
    >
      <span className="stop-label amount">{words.stopRunning(running)}</span>
    </Button>
  );
}

export function ResumeButton() {
  return (
    <Button
      size="compact-sm"
      leftSection={<IconPlayerPlay size={13} />}
      onClick={() => void setPaused(false)}
    >
      {words.resume}
    </Button>
  );
}
