import { Button, SegmentedControl, Switch, TextInput } from '@mantine/core';
import { useState } from 'react';
import { Settings } from '#shared/model.ts';
import { isDesktop, loadSettings, saveSettings } from '../actions.ts';
import { PriceUpdatesSetting } from '../prices/PriceDataSection.tsx';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { notifyFailure } from '../ui/notify.ts';
import { CopyIcon, ListState, Page, submitting } from '../ui/page.tsx';
import { BackupsSection } from './Backups.tsx';
import { Licences } from './Licences.tsx';
import { Section } from './Section.tsx';

const words = strings.settings;
const themeOptions = Settings.shape.theme.options.map((theme) => ({
  value: theme,
  label: words.themes[theme],
}));

/** What only an app with a tray and notices can do. */
const desktopSwitches = [
  'notices',
  'keepRunning',
  'launchAtLogin',
  'appUpdates',
] as const satisfies readonly (keyof Settings)[];

export function SettingsPage() {
  const settings = useApp((state) => state.settings);
  const load = useApp((state) => state.settingsLoad);
  return (
    <Page title={strings.pages.settings} className="settings">
      <ListState load={load} empty={null} onRetry={() => void loadSettings()}>
        {settings && (
          <>
            <Section title={words.appearance}>
              <ThemeSetting settings={settings} />
            </Section>
            <Section title={words.notices} text={words.noticesText(isDesktop)}>
              <TextSetting
                label={words.thresholds}
                hint={words.thresholdsHint}
                saved={words.saved}
                invalid={words.thresholdsInvalid}
                field="thresholds"
                text={settings.thresholds.join(', ')}
                read={readThresholds}
              />
            </Section>
            <Section title={words.gateway} text={words.gatewayText}>
              <TextSetting
                label={words.port}
                hint={words.portHint}
                saved={words.restart}
                invalid={words.portInvalid}
                field="port"
                text={String(settings.port)}
                read={readPort}
              />
            </Section>
            {isDesktop && (
              <Section title={words.desktop}>
                {desktopSwitches.map((name) => (
                  <Switch
                    key={name}
                    label={words.switches[name].label}
                    description={words.switches[name].hint}
                    checked={settings[name]}
                    onChange={(event) => void applyNow({ [name]: event.currentTarget.checked })}
                  />
                ))}
              </Section>
            )}
            <Section title={words.priceData}>
              <PriceUpdatesSetting />
            </Section>
            <DataFolder />
            <BackupsSection />
            <About />
          </>
        )}
      </ListState>
    </Page>
  );
}

function DataFolder() {
  const folder = useApp((state) => state.status?.dataFolder);
  if (folder === undefined) return null;
  return (
    <Section title={words.data} text={words.dataText}>
      <div>
        <span className="field-label">{words.dataFolder}</span>
        <span className="data-folder">
          <code>{folder}</code>
          <CopyIcon text={folder} label={words.copyDataFolder} />
        </span>
      </div>
    </Section>
  );
}

function About() {
  const version = useApp((state) => state.status?.version);
  return (
    <Section title={words.about}>
      <dl className="facts about">
        <dt>{strings.app.name}</dt>
        <dd>{version === undefined ? '' : strings.app.version(version)}</dd>
        <dt>{words.licence}</dt>
        <dd>{words.licenceText}</dd>
        <dt>{words.privacy}</dt>
        <dd>{words.privacyText}</dd>
      </dl>
      <Licences />
    </Section>
  );
}

/** For controls that take effect at once and have no place of their own for an error. */
async function applyNow(setting: Partial<Settings>): Promise<void> {
  const answer = await saveSettings(setting);
  if (!answer.ok) notifyFailure(answer.error.message, words.notSaved);
}

function ThemeSetting({ settings }: { settings: Settings }) {
  return (
    <div role="group" aria-labelledby="theme-label">
      <span id="theme-label" className="field-label">
        {words.theme}
      </span>
      <SegmentedControl
        size="xs"
        aria-labelledby="theme-label"
        data={themeOptions}
        value={settings.theme}
        onChange={(value) => void applyNow({ theme: Settings.shape.theme.parse(value) })}
      />
    </div>
  );
}

type Readable = Partial<Pick<Settings, 'port' | 'thresholds'>>;

function TextSetting({
  label,
  hint,
  saved,
  invalid,
  field,
  text,
  read,
}: {
  label: string;
  hint: string;
  saved: string;
  invalid: string;
  field: 'port' | 'thresholds';
  text: string;
  read: (typed: string) => Readable | null;
}) {
  /** null = as it is stored. */
  const [typed, setTyped] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [done, setDone] = useState(false);

  const save = async () => {
    const change = read(typed ?? text);
    if (!change) return setError(invalid);
    const answer = await saveSettings(change);
    if (!answer.ok) return setError(answer.error.message);
    setTyped(null);
    setDone(true);
  };

  return (
    <form onSubmit={submitting(save)} noValidate>
      <TextInput
        label={label}
        description={hint}
        name={field}
        autoComplete="off"
        inputMode={field === 'port' ? 'numeric' : 'text'}
        value={typed ?? text}
        error={error}
        rightSectionWidth={124}
        rightSection={
          typed !== null &&
          typed !== text && (
            <Button type="submit" size="compact-xs">
              {strings.common.save}
            </Button>
          )
        }
        onChange={(event) => {
          setTyped(event.currentTarget.value);
          setError(null);
          setDone(false);
        }}
      />
      <p className="setting-done" role="status">
        {done && saved}
      </p>
    </form>
  );
}

function readPort(typed: string): Readable | null {
  const port = /^\d{1,5}$/.test(typed.trim()) ? Number(typed) : Number.NaN;
  return Settings.shape.port.safeParse(port).success ? { port } : null;
}

function readThresholds(typed: string): Readable | null {
  const parts = typed.split(/[\s,]+/).filter((part) => part !== '');
  const values = [...new Set(parts.map((part) => Number(part.replace(/%$/, ''))))].toSorted((a, b) => a - b);
  return Settings.shape.thresholds.safeParse(values).success ? { thresholds: values } : null;
}
