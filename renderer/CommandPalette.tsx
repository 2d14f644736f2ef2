/** Ctrl/Cmd+K: every page, every key and every command by its name. */
import '@mantine/spotlight/styles.css';
import { Modal, VisuallyHidden } from '@mantine/core';
import { createSpotlight, Spotlight, type SpotlightActionGroupData } from '@mantine/spotlight';
import {
  IconAdjustments,
  IconCopy,
  IconHandStop,
  IconKey,
  IconKeyboard,
  IconMoon,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlus,
  IconSearch,
  IconSun,
  IconSunMoon,
} from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { openDialog, paletteOpener, saveSettings, setPalette } from './actions.ts';
import { setPaused, stopAll } from './limits/actions.ts';
import { pages } from './pages.tsx';
import { hrefOf, navigate, pageNames } from './router.ts';
import { app, useApp, type Dialog } from './store.ts';
import { strings } from './strings.ts';
import { notifyFailure } from './ui/notify.ts';

const words = strings.palette;
const [store, controls] = createSpotlight();
const ICON = 16;
/** Without a search the keys would push the commands out of sight. */
const KEYS_SHOWN = 5;

export function CommandPalette() {
  const [query, setQuery] = useState('');
  useEffect(() => {
    controls.open();
  }, []);
  const groups: SpotlightActionGroupData[] = [
    { group: words.pages, actions: pageActions() },
    { group: words.actions, actions: useCommands() },
    { group: words.keys, actions: useKeyActions(query) },
  ];
  return (
    <Spotlight
      store={store}
      shortcut={null}
      // The page scrolls inside <main>; a lock would add a style element that the page's policy forbids.
      lockScroll={false}
      actions={groups.filter(({ actions }) => actions.length > 0)}
      query={query}
      onQueryChange={setQuery}
      nothingFound={words.nothing}
      highlightQuery
      scrollable
      maxHeight={420}
      size={560}
      limit={40}
      transitionProps={{ duration: 80 }}
      overlayProps={{ backgroundOpacity: 0.35 }}
      searchProps={{
        // Spotlight has no place for its dialog's name; the title names it from anywhere inside.
        leftSection: (
          <>
            <IconSearch size={ICON} />
            <VisuallyHidden>
              <Modal.Title>{words.open}</Modal.Title>
            </VisuallyHidden>
          </>
        ),
        placeholder: words.placeholder,
        'aria-label': words.placeholder,
      }}
      onSpotlightClose={() => {
        setPalette(false);
        // A command that opened a dialog has given the focus away already.
        if (!app.getState().dialog) requestAnimationFrame(() => paletteOpener()?.focus());
      }}
    />
  );
}

function pageActions() {
  return pageNames.map((page) => {
    const { Icon } = pages[page];
    return {
      id: page,
      label: strings.pages[page],
      leftSection: <Icon size={ICON} stroke={1.7} />,
      onClick: () => navigate(hrefOf(page)),
    };
  });
}

function useKeyActions(query: string) {
  const order = useApp((state) => state.keyOrder);
  const keys = app.getState().keys;
  const wanted = query.trim().toLowerCase();
  const found = order.flatMap((id) => {
    const row = keys[id];
    return row && (wanted === '' || row.name.toLowerCase().includes(wanted)) ? [row] : [];
  });
  const shown = wanted === '' ? found.slice(0, KEYS_SHOWN) : found.slice(0, 20);
  const goTo = shown.map((row) => ({
    id: `key-${row.id}`,
    label: row.name,
    description: row.masked,
    leftSection: <IconKey size={ICON} stroke={1.7} />,
    onClick: () => navigate(hrefOf('keys', {}, row.id)),
  }));
  // Asked for by name only: twice as many lines would help nobody.
  if (wanted === '') return goTo;
  const editLimit = shown.map((row) => ({
    id: `limit-${row.id}`,
    label: words.limitOf(row.name),
    leftSection: <IconAdjustments size={ICON} stroke={1.7} />,
    onClick: () => open({ kind: 'edit-limit', id: row.id }),
  }));
  return [...goTo, ...editLimit];
}

function useCommands() {
  const gatewayUrl = useApp((state) => state.status?.gatewayUrl);
  const paused = useApp((state) => state.status?.paused ?? false);
  const pause = strings.limits.pause;
  const themes = { system: IconSunMoon, light: IconSun, dark: IconMoon } as const;
  return [
    {
      id: 'new-key',
      label: words.newKey,
      leftSection: <IconPlus size={ICON} />,
      onClick: () => open({ kind: 'create-key' }),
    },
    {
      id: 'add-provider',
      label: words.addProvider,
      leftSection: <IconPlus size={ICON} />,
      onClick: () => open({ kind: 'provider', id: null }),
    },
    {
      id: 'pause',
      label: paused ? words.resume : words.pause,
      description: paused ? words.resumeText : words.pauseText,
      leftSection: paused ? <IconPlayerPlay size={ICON} /> : <IconPlayerPause size={ICON} />,
      onClick: () => void setPaused(!paused),
    },
    {
      id: 'stop-all',
      label: pause.stopAll,
      description: pause.stopAllTitle,
      leftSection: <IconHandStop size={ICON} />,
      onClick: () => void stopAll(),
    },
    {
      id: 'copy-address',
      label: words.copyAddress,
      description: gatewayUrl ?? '',
      leftSection: <IconCopy size={ICON} />,
      onClick: () => void copy(gatewayUrl ?? ''),
    },
    ...(['system', 'light', 'dark'] as const).map((theme) => {
      const Icon = themes[theme];
      return {
        id: `theme-${theme}`,
        label: words.theme[theme],
        leftSection: <Icon size={ICON} />,
        onClick: () => void applyTheme(theme),
      };
    }),
    {
      id: 'shortcuts',
      label: words.shortcuts,
      leftSection: <IconKeyboard size={ICON} />,
      onClick: () => open({ kind: 'shortcuts' }),
    },
  ];
}

/** The focus returns to where it was before the palette. */
function open(dialog: Dialog): void {
  openDialog(dialog, paletteOpener());
}

async function applyTheme(theme: 'system' | 'light' | 'dark'): Promise<void> {
  const answer = await saveSettings({ theme });
  if (!answer.ok) notifyFailure(answer.error.message, strings.settings.notSaved);
}

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    notifyFailure(strings.common.copyFailed);
  }
}
