import { IconChevronRight } from '@tabler/icons-react';
import { useId, useState, type ReactNode } from 'react';

/**
 * Part of a form that is folded away until it is wanted. It opens by itself where something is in it (`filled`) or wrong
 * with it, and never closes by itself: that would take a field away from whoever empties it.
 */
export function Fold({
  label,
  filled = false,
  wrong = false,
  group = false,
  className,
  children,
}: {
  label: string;
  filled?: boolean;
  wrong?: boolean;
  /** What is in it belongs together under the label. */
  group?: boolean;
  className?: string;
  children: ReactNode;
}) {
  const [open, setOpen] = useState(filled);
  const [wasFilled, setWasFilled] = useState(filled);
  if (filled !== wasFilled) {
    setWasFilled(filled);
    if (filled) setOpen(true);
  }
  const panel = useId();
  const unfolded = open || wrong;
  return (
    <>
      <button
        type="button"
        className="fold"
        aria-expanded={unfolded}
        aria-controls={panel}
        onClick={() => setOpen(!unfolded)}
      >
        <IconChevronRight size={14} />
        {label}
      </button>
      <div
        id={panel}
        hidden={!unfolded}
        className={className}
        {...(group ? { role: 'group', 'aria-label': label } : {})}
      >
        {children}
      </div>
    </>
  );
}
