/** A key's state in words; one that the loop brake holds says so, with the way out beside it. */
import { Button } from '@mantine/core';
import type { KeyRow } from '#shared/model.ts';
import { resumeKey } from '../limits/actions.ts';
import { strings } from '../strings.ts';

const words = strings.limits.key;

/** `resumable`: with the button; without where the way out stands elsewhere already. */
export function KeyState({ row, resumable = true }: { row: KeyRow; resumable?: boolean }) {
  if (row.pause === null || row.status !== 'active')
    return <span className={`state state-${row.status}`}>{strings.keys.status[row.status]}</span>;
  return (
    <span className="state-line">
      <span className="state state-paused" title={words.pausedTitle(row.pause.count)}>
        {words.paused}
      </span>
      {resumable && <ResumeKey row={row} />}
    </span>
  );
}

export function ResumeKey({ row }: { row: KeyRow }) {
  return (
    <Button
      variant="default"
      size="compact-xs"
      aria-label={words.resumeOf(row.name)}
      onClick={() => void resumeKey(row)}
    >
      {words.resume}
    </Button>
  );
}
