import { Button, Switch } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck, IconPencil, IconPlus, IconTrash } from '@tabler/icons-react';
import type { ProviderRow } from '#shared/model.ts';
import { changeProviders, loadProviders, openDialog } from '../actions.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { notifyFailure } from '../ui/notify.ts';
import { Empty, ListState, Page } from '../ui/page.tsx';
import { kinds } from './kinds.ts';

const words = strings.providers;

export function ProvidersPage() {
  const providers = useApp((state) => state.providers);
  const load = useApp((state) => state.providersLoad);
  const add = (
    <Button leftSection={<IconPlus size={15} />} onClick={() => openDialog({ kind: 'provider', id: null })}>
      {words.add}
    </Button>
  );
  return (
    <Page title={strings.pages.providers} tools={providers.length > 0 && add}>
      <ListState
        load={load}
        onRetry={() => void loadProviders()}
        empty={
          providers.length > 0 ? null : (
            <Empty title={words.emptyTitle} text={words.emptyText}>
              {add}
            </Empty>
          )
        }
      >
        <p className="intro dim">{words.intro}</p>
        <div className="table-frame">
          <table className="table providers">
            <thead>
              <tr>
                <th scope="col">{words.columns.name}</th>
                <th scope="col" className="wide">
                  {words.columns.kind}
                </th>
                <th scope="col" className="wide">
                  {words.columns.baseUrl}
                </th>
                <th scope="col">{words.columns.slug}</th>
                <th scope="col">{words.columns.billing}</th>
                <th scope="col">{words.columns.credential}</th>
                <th scope="col">{words.columns.enabled}</th>
                <th scope="col" className="end">
                  {strings.common.actions}
                </th>
              </tr>
            </thead>
            <tbody>
              {providers.map((row) => (
                <Row key={row.id} row={row} />
              ))}
            </tbody>
          </table>
        </div>
      </ListState>
    </Page>
  );
}

function Row({ row }: { row: ProviderRow }) {
  return (
    <tr className={row.enabled ? undefined : 'off'}>
      <th scope="row" className="name" title={row.name}>
        {row.name}
      </th>
      <td className="wide">{kinds[row.kind].label}</td>
      <td className="url wide" title={row.baseUrl}>
        <code>{row.baseUrl}</code>
      </td>
      <td>
        <code>{row.slug}</code>
      </td>
      <td>{strings.billing[row.billing]}</td>
      <td>
        <CredentialState row={row} />
      </td>
      <td>
        <Switch
          size="xs"
          checked={row.enabled}
          aria-label={words.enabledOf(row.name)}
          onChange={(event) => void setEnabled(row, event.currentTarget.checked)}
        />
      </td>
      <td className="end">
        <button
          type="button"
          className="icon-button"
          aria-label={words.edit(row.name)}
          onClick={() => openDialog({ kind: 'provider', id: row.id })}
        >
          <IconPencil size={15} />
        </button>
        <button
          type="button"
          className="icon-button"
          aria-label={words.delete(row.name)}
          onClick={() => openDialog({ kind: 'delete-provider', id: row.id })}
        >
          <IconTrash size={15} />
        </button>
      </td>
    </tr>
  );
}

function CredentialState({ row }: { row: ProviderRow }) {
  if (row.credentialUnreadable) {
    return (
      <span className="with-icon bad" title={words.credentialUnreadableTitle}>
        <IconAlertTriangle size={14} />
        {words.credentialUnreadable}
      </span>
    );
  }
  if (row.hasCredential) {
    return (
      <span className="with-icon good">
        <IconCircleCheck size={14} />
        {words.credentialStored}
      </span>
    );
  }
  if (!kinds[row.kind].needsCredential) return <span className="dim">{words.credentialNotNeeded}</span>;
  return (
    <span className="with-icon near">
      <IconAlertTriangle size={14} />
      {words.credentialMissing}
    </span>
  );
}

async function setEnabled(row: ProviderRow, enabled: boolean): Promise<void> {
  const answer = await changeProviders('providers.update', { id: row.id, enabled });
  if (answer.ok) return;
  notifyFailure(answer.error.message, words.changeFailed(row.name));
}
