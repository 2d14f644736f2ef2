/** The window's frame: navigation, the line with the gateway's state and spend, banners, the page, the open dialog. */
import { Button, useMantineColorScheme, VisuallyHidden } from '@mantine/core';
import { IconAlertTriangle, IconPlayerPause, IconSearch, IconWifiOff } from '@tabler/icons-react';
import { lazy, Suspense, useEffect, type ReactNode } from 'react';
import { formatUsd } from '#shared/money.ts';
import { setPalette } from './actions.ts';
import { Dialogs } from './Dialogs.tsx';
import { PauseButton, ResumeButton, StopButton } from './limits/PauseButtons.tsx';
import { pages, preloadPages } from './pages.tsx';
import { hrefOf, pageNames, useRoute, type PageName } from './router.ts';
import { MOD, useShortcuts } from './shortcuts.ts';
import { useApp } from './store.ts';
import { strings } from './strings.ts';
import { CopyIcon, PageSkeleton } from './ui/page.tsx';
import { useScrollMemory } from './ui/scroll.ts';

const CommandPalette = lazy(async () => ({ default: (await import('./CommandPalette.tsx')).CommandPalette }));

export function App() {
  const { page, id } = useRoute();
  const Page = pages[page].Page;
  const scrolled = useScrollMemory();
  useTheme();
  useShortcuts();
  useEffect(() => {
    document.title = `${strings.pages[page]} · ${strings.app.name}`;
  }, [page]);
  useEffect(() => preloadPages(), []);
  return (
    <div className="shell">
      <a className="skip" href="#main" onClick={toMain}>
        {strings.app.skip}
      </a>
      <Navigation current={page} />
      <div className="body">
        <Header />
        <Banners />
        <main id="main" tabIndex={-1} key={page} ref={scrolled}>
          <Suspense fallback={<PageSkeleton title={strings.pages[page]} />}>
            <Page key={id} />
          </Suspense>
        </main>
      </div>
      <Dialogs />
      <Palette />
      <LiveRegion />
    </div>
  );
}

function Palette() {
  const wanted = useApp((state) => state.palette);
  return <Suspense>{wanted && <CommandPalette />}</Suspense>;
}

/** A plain `#main` would be taken for a page. */
function toMain(event: React.MouseEvent): void {
  event.preventDefault();
  document.querySelector<HTMLElement>('main')?.focus();
}

function Navigation({ current }: { current: PageName }) {
  return (
    <nav className="nav" aria-label={strings.app.navigation}>
      <div className="brand">
        <Mark />
        <span className="nav-text">{strings.app.name}</span>
      </div>
      <ul>
        {pageNames.map((name) => {
          const { Icon } = pages[name];
          return (
            <li key={name}>
              <a
                href={hrefOf(name)}
                aria-current={name === current ? 'page' : undefined}
                title={strings.pages[name]}
              >
                <Icon size={17} stroke={1.7} />
                <span className="nav-text">{strings.pages[name]}</span>
              </a>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <path d="M9 6v20M23 6v20M9 16h9" />
    </svg>
  );
}

function Header() {
  const gatewayUrl = useApp((state) => state.status?.gatewayUrl);
  const totals = useApp((state) => state.status?.totals);
  return (
    <header className="header">
      <RunState />
      <PauseButton />
      {gatewayUrl !== undefined && (
        <span className="address">
          <VisuallyHidden>{strings.header.address}: </VisuallyHidden>
          <code>{gatewayUrl}</code>
          <CopyIcon text={gatewayUrl} label={strings.header.copyAddress} />
        </span>
      )}
      <StopButton />
      {totals && totals.heldNano > 0 && (
        <span className="in-flight dim amount" title={strings.header.running(totals.running)}>
          {strings.header.held(formatUsd(totals.heldNano))}
        </span>
      )}
      <Button
        variant="default"
        size="compact-sm"
        className="palette-button"
        leftSection={<IconSearch size={13} />}
        title={strings.palette.open}
        aria-keyshortcuts="Control+K Meta+K"
        onClick={() => setPalette(true)}
      >
        <span className="palette-hint">{strings.palette.search}</span>
        <VisuallyHidden>{strings.palette.hidden}</VisuallyHidden>
        <kbd>{MOD}K</kbd>
      </Button>
      {/* There from the start, so that nothing before it moves when they come. */}
      <dl className="totals">
        <Total label={strings.header.today} nano={totals?.todayNano} />
        <Total label={strings.header.month} nano={totals?.monthNano} />
      </dl>
    </header>
  );
}

function Total({ label, nano }: { label: string; nano: number | undefined }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd className="amount">{nano === undefined ? '–' : formatUsd(nano)}</dd>
    </div>
  );
}

function RunState() {
  const connection = useApp((state) => state.connection);
  const paused = useApp((state) => state.status?.paused ?? false);
  const state =
    connection === 'online' && paused ? 'paused' : connection === 'refused' ? 'offline' : connection;
  return <span className={`run-state run-${state}`}>{strings.connection[state]}</span>;
}

function Banners() {
  const connection = useApp((state) => state.connection);
  const problem = useApp((state) => state.status?.problem ?? null);
  const paused = useApp((state) => state.status?.paused ?? false);
  return (
    <>
      {paused && connection === 'online' && (
        <Banner kind="warn" icon={<IconPlayerPause size={17} />} action={<ResumeButton />}>
          {strings.limits.pause.banner}
        </Banner>
      )}
      {connection === 'offline' && (
        <Banner kind="warn" icon={<IconWifiOff size={17} />}>
          {strings.connection.offlineBanner}
        </Banner>
      )}
      {connection === 'refused' && (
        <Banner kind="bad" icon={<IconAlertTriangle size={17} />}>
          {strings.connection.refusedBanner}
        </Banner>
      )}
      {problem !== null && (
        <Banner kind="bad" icon={<IconAlertTriangle size={17} />}>
          {problem}
        </Banner>
      )}
    </>
  );
}

function Banner({
  kind,
  icon,
  action,
  children,
}: {
  kind: 'warn' | 'bad';
  icon: ReactNode;
  action?: ReactNode;
  children: ReactNode;
}) {
  return (
    <div className={`banner banner-${kind}`} role="alert">
      {icon}
      <span>{children}</span>
      {action}
    </div>
  );
}

function LiveRegion() {
  const announcement = useApp((state) => state.announcement);
  return (
    <VisuallyHidden>
      <div role="status" aria-live="polite">
        {announcement}
      </div>
    </VisuallyHidden>
  );
}

/** The setting decides; Mantine keeps a copy in this browser, so that the next start does not flash. */
function useTheme(): void {
  const theme = useApp((state) => state.settings?.theme);
  const { setColorScheme } = useMantineColorScheme();
  useEffect(() => {
    if (theme !== undefined) setColorScheme(theme === 'system' ? 'auto' : theme);
  }, [theme, setColorScheme]);
}
