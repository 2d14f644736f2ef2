import { CorrectDialog } from './activity/CorrectDialog.tsx';
import { DaysDialog } from './activity/DaysDialog.tsx';
import { ExportDialog } from './activity/ExportDialog.tsx';
import { ConnectToolDialog, DisconnectToolDialog } from './connect/ToolDialogs.tsx';
import { CreateKeyDialog, DeleteKeyDialog, RenameDialog, RotateDialog } from './keys/KeyDialogs.tsx';
import { LimitDialog } from './keys/LimitDialog.tsx';
import { ConnectDialog } from './keys/SecretView.tsx';
import { ScopeLimitDialog } from './limits/ScopeLimitDialog.tsx';
import { PriceDialog } from './prices/PriceDialog.tsx';
import { RemovePriceDialog } from './prices/RemovePriceDialog.tsx';
import { RepriceDialog } from './prices/RepriceDialog.tsx';
import { DeleteProviderDialog } from './providers/DeleteProviderDialog.tsx';
import { ProviderDialog } from './providers/ProviderDialog.tsx';
import { RestoreDialog } from './settings/Backups.tsx';
import { ShortcutsDialog } from './ShortcutsDialog.tsx';
import { app, useApp } from './store.ts';

/** The one dialog that is open, if any. Each instance starts fresh, with the row as it was when it was opened. */
export function Dialogs() {
  const dialog = useApp((state) => state.dialog);
  const { keys, providers } = app.getState();
  if (!dialog) return null;
  switch (dialog.kind) {
    case 'create-key':
      return <CreateKeyDialog />;
    case 'edit-limit':
      return <LimitDialog id={dialog.id} topUp={dialog.topUp ?? false} />;
    case 'connect-key':
      return <ConnectDialog id={dialog.id} />;
    case 'rename-key':
    case 'rotate-key':
    case 'delete-key': {
      const row = keys[dialog.id];
      if (!row) return null;
      if (dialog.kind === 'rename-key') return <RenameDialog row={row} />;
      return dialog.kind === 'rotate-key' ? <RotateDialog row={row} /> : <DeleteKeyDialog row={row} />;
    }
    case 'provider':
      return (
        <ProviderDialog
          row={providers.find((each) => each.id === dialog.id) ?? null}
          preset={dialog.preset}
        />
      );
    case 'delete-provider': {
      const row = providers.find((each) => each.id === dialog.id);
      return row ? <DeleteProviderDialog row={row} /> : null;
    }
    case 'connect-tool':
      return <ConnectToolDialog row={dialog.row} />;
    case 'disconnect-tool':
      return <DisconnectToolDialog row={dialog.row} />;
    case 'price':
      return (
        <PriceDialog
          row={dialog.row}
          providerId={dialog.providerId}
          model={dialog.model}
          copied={dialog.copied}
        />
      );
    case 'reprice':
      return <RepriceDialog providerId={dialog.providerId} model={dialog.model} />;
    case 'remove-price':
      return <RemovePriceDialog row={dialog.row} />;
    case 'correct-cost':
      return <CorrectDialog row={dialog.row} />;
    case 'export-requests':
      return <ExportDialog filter={dialog.filter} />;
    case 'request-days':
      return <DaysDialog filter={dialog.filter} />;
    case 'scope-limit':
      return <ScopeLimitDialog scope={dialog.scope} />;
    case 'restore-backup':
      return <RestoreDialog row={dialog.row} />;
    case 'shortcuts':
      return <ShortcutsDialog />;
  }
}
