import type { KeyRow } from '#shared/model.ts';

/**
 * A part of a whole, and after it the part that is held, from 0 to 1. Painted as one background: boxes whose edges follow
 * the numbers would be laid out anew with each of them. What it says stands beside it in words.
 */
export function Bar({
  used,
  held = 0,
  state = 'ok',
  className = '',
}: {
  used: number;
  held?: number;
  state?: KeyRow['limitState'];
  className?: string;
}) {
  return (
    <span
      className={`bar bar-${state} ${className}`}
      aria-hidden="true"
      style={{
        backgroundSize: `${used * 100}% 100%, ${Math.min(1, used + held) * 100}% 100%`,
      }}
    />
  );
}
