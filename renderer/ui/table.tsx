import { IconChevronDown, IconChevronUp } from '@tabler/icons-react';

/** A heading that sorts. Its arrow has a place kept for it, so that no heading moves. */
export function SortHeader({
  label,
  sorted,
  className,
  onSort,
}: {
  label: string;
  sorted: 'ascending' | 'descending' | 'none';
  className?: string;
  onSort: () => void;
}) {
  const Arrow = sorted === 'ascending' ? IconChevronUp : IconChevronDown;
  return (
    <th scope="col" className={className} aria-sort={sorted}>
      <button type="button" className="sort" data-sorted={sorted !== 'none' || undefined} onClick={onSort}>
        {label}
        <Arrow size={13} aria-hidden="true" />
      </button>
    </th>
  );
}
