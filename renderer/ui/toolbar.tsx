/** Above a list: finding in it by text, and by what its rows have in common. */
import { Button, TextInput } from '@mantine/core';
import { IconFilter2, IconSearch } from '@tabler/icons-react';
import { useRef, useState } from 'react';
import { setQuery } from '../router.ts';
import { FloatingMenu, type MenuAction } from './floating.tsx';

/** The text that is sought stands in the address as `q`. */
export function SearchField({ label, value }: { label: string; value: string }) {
  return (
    <TextInput
      size="xs"
      type="search"
      className="toolbar-search"
      aria-label={label}
      placeholder={label}
      leftSection={<IconSearch size={14} />}
      value={value}
      onChange={(event) => setQuery({ q: event.currentTarget.value })}
    />
  );
}

/** `actions` is asked when the menu opens, and told its button, which a dialog gives the focus back to. */
export function FilterMenu({
  label,
  actions,
}: {
  label: string;
  actions: (button: HTMLElement) => readonly MenuAction[];
}) {
  const button = useRef<HTMLButtonElement>(null);
  const [anchor, setAnchor] = useState<HTMLElement | null>(null);
  return (
    <>
      <Button
        ref={button}
        variant="default"
        leftSection={<IconFilter2 size={14} />}
        aria-haspopup="menu"
        aria-expanded={anchor !== null}
        onClick={() => setAnchor(anchor ? null : button.current)}
      >
        {label}
      </Button>
      {anchor && (
        <FloatingMenu
          anchor={anchor}
          side="start"
          label={label}
          actions={actions(anchor)}
          onClose={(focusBack) => {
            setAnchor(null);
            if (focusBack) anchor.focus();
          }}
        />
      )}
    </>
  );
}
