/** What floats at a row's control. One for a whole table, since a popover component a row is felt with a thousand rows. */
import { IconCheck } from '@tabler/icons-react';
import {
  useEffect,
  useEffectEvent,
  useLayoutEffect,
  useRef,
  type KeyboardEvent,
  type ReactNode,
  type RefObject,
} from 'react';

const GAP = 5;
/** Groups of a menu that stand below each other; more stand side by side, so that a low window has room for them. */
const MOST_STACKED = 2;

/** A row's control that something floats at. */
export interface Anchor {
  id: string;
  element: HTMLElement;
}

/** Places the element under `anchor`, or over it where there is no room, and closes it when the page moves away. */
export function useFloating(
  anchor: HTMLElement,
  side: 'start' | 'end',
  onClose: () => void,
): RefObject<HTMLDivElement | null> {
  const floating = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    if (!floating.current) return;
    const at = anchor.getBoundingClientRect();
    const { width, height } = floating.current.getBoundingClientRect();
    const below = at.bottom + GAP + height <= window.innerHeight;
    const left = side === 'start' ? at.left : at.right - width;
    floating.current.style.top = `${below ? at.bottom + GAP : Math.max(GAP, at.top - GAP - height)}px`;
    floating.current.style.left = `${Math.max(GAP, Math.min(left, window.innerWidth - width - GAP))}px`;
  }, [anchor, side]);

  const close = useEffectEvent(onClose);
  useEffect(() => {
    const ended = new AbortController();
    const options = { capture: true, signal: ended.signal };
    const onScroll = ({ target }: Event) => {
      // Its own is no moving away.
      if (target !== floating.current) close();
    };
    window.addEventListener('scroll', onScroll, { ...options, passive: true });
    window.addEventListener('resize', () => close(), options);
    return () => ended.abort();
  }, []);

  return floating;
}

export interface MenuAction {
  label: string;
  icon?: ReactNode;
  danger?: boolean;
  /** Makes it a box that is checked or not. */
  checked?: boolean;
  /** Actions of one group stand together under its name. */
  group?: string;
  run: () => void;
}

/** A menu button's menu, with the keys of the ARIA Authoring Practices: arrows, Home, End, Escape, first letters. */
export function FloatingMenu({
  anchor,
  label,
  actions,
  side = 'end',
  onClose,
}: {
  anchor: HTMLElement;
  side?: 'start' | 'end';
  label: string;
  actions: readonly MenuAction[];
  /** `focusBack`: whether the focus goes back to the button, or has gone elsewhere already. */
  onClose: (focusBack: boolean) => void;
}) {
  const menu = useFloating(anchor, side, () => onClose(false));
  const dismiss = useEffectEvent(() => onClose(false));
  const groups = Map.groupBy(actions, ({ group = '' }) => group);

  useEffect(() => {
    items(menu.current)[0]?.focus({ preventScroll: true });
    const onPointer = (event: PointerEvent) => {
      const inside =
        event.target instanceof Node &&
        (menu.current?.contains(event.target) || anchor.contains(event.target));
      if (!inside) dismiss();
    };
    document.addEventListener('pointerdown', onPointer, true);
    return () => document.removeEventListener('pointerdown', onPointer, true);
  }, [anchor, menu]);

  const onKeyDown = (event: KeyboardEvent) => {
    const all = items(menu.current);
    const current = all.findIndex((item) => item === document.activeElement);
    const letter = event.key.length === 1 ? event.key.toLowerCase() : null;
    const target: Record<string, number> = { ArrowDown: current + 1, ArrowUp: current - 1, Home: 0, End: -1 };
    if (event.key === 'Escape' || event.key === 'Tab') {
      event.preventDefault();
      event.stopPropagation();
      onClose(true);
    } else if (event.key in target) {
      event.preventDefault();
      all.at((target[event.key] ?? 0) % all.length)?.focus();
    } else if (letter !== null) {
      const after = [...all.slice(current + 1), ...all.slice(0, current + 1)];
      after.find((item) => item.textContent.trim().toLowerCase().startsWith(letter))?.focus();
    }
  };

  return (
    <div
      ref={menu}
      className={groups.size > MOST_STACKED ? 'floating menu menu-columns' : 'floating menu'}
      role="menu"
      tabIndex={-1}
      aria-label={label}
      onKeyDown={onKeyDown}
    >
      {[...groups].map(([group, own]) => (
        <div key={group} role="group" aria-label={group || undefined}>
          {group !== '' && (
            <div className="menu-group" aria-hidden="true">
              {group}
            </div>
          )}
          {own.map((action) => (
            <MenuItem key={action.label} action={action} onClose={onClose} />
          ))}
        </div>
      ))}
    </div>
  );
}

function MenuItem({ action, onClose }: { action: MenuAction; onClose: (focusBack: boolean) => void }) {
  return (
    <button
      type="button"
      role={action.checked === undefined ? 'menuitem' : 'menuitemcheckbox'}
      aria-checked={action.checked}
      tabIndex={-1}
      className={action.danger ? 'danger' : undefined}
      onClick={() => {
        onClose(true);
        action.run();
      }}
    >
      {action.checked === undefined ? (
        action.icon
      ) : (
        <IconCheck size={14} visibility={action.checked ? 'visible' : 'hidden'} />
      )}
      {action.label}
    </button>
  );
}

const items = (menu: HTMLElement | null): HTMLElement[] => [
  ...(menu?.querySelectorAll<HTMLElement>('[role^=menuitem]') ?? []),
];
