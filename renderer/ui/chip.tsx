import { IconX } from '@tabler/icons-react';
import { strings } from '../strings.ts';

/** A filter that is on, with the way to take it off. */
export function Chip({ label, onRemove }: { label: string; onRemove: () => void }) {
  return (
    <span className="chip">
      <span className="chip-text">{label}</span>
      <button type="button" aria-label={strings.common.removeFilter(label)} onClick={onRemove}>
        <IconX size={12} />
      </button>
    </span>
  );
}
