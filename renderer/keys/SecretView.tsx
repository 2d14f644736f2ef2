/** The one moment a key's secret is on screen, with what a person needs to put it to use; and the same without it later. */
import { Button, Tabs } from '@mantine/core';
import { IconEyeOff } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import type { KeyRow } from '#shared/model.ts';
import { closeDialog } from '../actions.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { CopyButton, CopyIcon, Dialog } from '../ui/page.tsx';
import { toolSnippets, type Shell } from './snippets.ts';

const shell: Shell = navigator.userAgent.includes('Windows') ? 'powershell' : 'posix';
const words = strings.secret;

export function SecretDialog({ title, row, secret }: { title: string; row: KeyRow; secret: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <Dialog title={title} size={640} keep={!copied}>
      <div className="dialog-form">
        <p className="notice" role="status">
          <IconEyeOff size={16} />
          {words.once}
        </p>
        <div className="secret-row">
          <input
            className="secret"
            readOnly
            value={secret}
            aria-label={words.key(row.name)}
            onFocus={(event) => event.currentTarget.select()}
          />
          <CopyButton text={secret} label={words.copyKey} primary onCopied={() => setCopied(true)} />
        </div>
        <ToolTabs secret={secret} />
        <div className="dialog-buttons">
          <Button onClick={closeDialog} variant={copied ? 'filled' : 'default'}>
            {strings.common.done}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

/** For a key that exists: the secret is gone, so its place is marked. */
export function ConnectDialog({ id }: { id: string }) {
  const row = useApp((state) => state.keys[id]);
  if (!row) return <Dialog title={words.connectTitle('')}>{strings.limit.gone}</Dialog>;
  return (
    <Dialog title={words.connectTitle(row.name)} size={640}>
      <div className="dialog-form">
        <p className="dim">{words.connectText(row.masked)}</p>
        <ToolTabs secret={row.masked} />
        <div className="dialog-buttons">
          <Button onClick={closeDialog} data-autofocus>
            {strings.common.done}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

export function ToolTabs({ secret }: { secret: string }) {
  const gatewayUrl = useApp((state) => state.status?.gatewayUrl ?? '');
  const providers = useApp((state) => state.providers);
  const tools = useMemo(() => {
    const dialects = new Set(providers.filter((each) => each.enabled).flatMap((each) => each.dialects));
    return toolSnippets(gatewayUrl, secret, shell, dialects);
  }, [gatewayUrl, secret, providers]);
  return (
    <Tabs defaultValue="curl" keepMounted={false} className="tools">
      <Tabs.List aria-label={words.tools}>
        {tools.map((tool) => (
          <Tabs.Tab key={tool.id} value={tool.id}>
            {tool.label}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {tools.map((tool) => (
        <Tabs.Panel key={tool.id} value={tool.id}>
          {tool.snippets.map((snippet) => (
            <figure key={snippet.title} className="snippet">
              <figcaption>
                {snippet.title}
                <CopyIcon text={snippet.text} label={words.copySnippet(snippet.title)} />
              </figcaption>
              <pre>{snippet.text}</pre>
            </figure>
          ))}
          <p className="hint">{tool.note}</p>
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}
