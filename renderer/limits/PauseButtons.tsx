/** Holds the whole gateway back, from wherever the person is: the header's buttons and the banner while it is paused. */
import { Button } from '@mantine/core';
import { IconHandStop, IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { setPaused, stopAll } from './actions.ts';

const words = strings.limits.pause;

export function PauseButtons() {
  const paused = useApp((state) => state.status?.paused ?? null);
  const running = useApp((state) => (state.status?.totals.running ?? 0) > 0);
  const online = useApp((state) => state.connection === 'online');
  if (paused === null || !online) return null;
  return (
    <span className="pause-buttons">
      {!paused && (
        <button
          type="button"
          className="icon-button"
          aria-label={words.pauseTitle}
          title={words.pauseTitle}
          onClick={() => void setPaused(true)}
        >
          <IconPlayerPause size={15} />
        </button>
      )}
      {running && (
        <Button
          variant="default"
          size="compact-sm"
          aria-label={words.stopAll}
          title={words.stopAllTitle}
          leftSection={<IconHandStop size={13} />}
          onClick={() => void stopAll()}
        >
          <span className="wide">{words.stopAll}</span>
        </Button>
      )}
    </span>
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
