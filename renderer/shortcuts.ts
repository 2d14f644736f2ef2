/** Keys for the whole window. One letter alone never acts while a person types, and never while a dialog is open. */
import { useEffect } from 'react';
import { openDialog, setPalette } from './actions.ts';
import { hrefOf, navigate, type PageName } from './router.ts';
import { app } from './store.ts';
import { undoLast } from './ui/undo.tsx';

const isMac = navigator.userAgent.includes('Mac');
export const MOD = isMac ? '⌘' : 'Ctrl ';

/** After `g`. */
export const pageKeys: Record<PageName, string> = {
  keys: 'k',
  activity: 'a',
  usage: 'u',
  limits: 'l',
  connect: 'c',
  providers: 'o',
  prices: 'p',
  bills: 'b',
  settings: 's',
};

/** A second key that comes later than this starts anew. */
const SEQUENCE_MS = 1_200;
let pressedG = 0;

export function useShortcuts(): void {
  useEffect(() => {
    window.addEventListener('keydown', onKeyDown);
    return () => window.removeEventListener('keydown', onKeyDown);
  }, []);
}

function onKeyDown(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  const mod = isMac ? event.metaKey : event.ctrlKey;
  const key = event.key.toLowerCase();
  const { dialog, palette } = app.getState();
  if (mod && key === 'k' && !event.shiftKey) {
    event.preventDefault();
    if (!dialog) setPalette(!palette);
    return;
  }
  if (dialog || palette || isTyping(event.target)) return;
  if (mod && key === 'z' && !event.shiftKey) {
    event.preventDefault();
    return void undoLast();
  }
  if (event.metaKey || event.ctrlKey) return;
  if (run(key)) event.preventDefault();
}

function run(key: string): boolean {
  const afterG = Date.now() - pressedG < SEQUENCE_MS;
  pressedG = key === 'g' ? Date.now() : 0;
  if (key === 'g') return true;
  if (afterG) {
    for (const [page, letter] of Object.entries(pageKeys)) {
      if (letter !== key) continue;
      navigate(hrefOf(page as PageName));
      return true;
    }
    return false;
  }
  if (key === 'n') openDialog({ kind: 'create-key' });
  else if (key === '?') openDialog({ kind: 'shortcuts' });
  else if (key === '/') return focusFilter();
  else return false;
  return true;
}

function focusFilter(): boolean {
  const field = document.querySelector<HTMLInputElement>('main input[type=search]');
  field?.focus();
  field?.select();
  return field !== null;
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName)) &&
    !isToggle(target)
  );
}

/** A checkbox takes no letters. */
const isToggle = (target: HTMLElement) =>
  target instanceof HTMLInputElement && /^(checkbox|radio)$/.test(target.type);
