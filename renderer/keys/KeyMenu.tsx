import {
  IconActivity,
  IconCoin,
  IconPencil,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlugConnected,
  IconRefresh,
  IconTrash,
} from '@tabler/icons-react';
import type { KeyRow } from '#shared/model.ts';
import { openDialog } from '../actions.ts';
import { resumeKey } from '../limits/actions.ts';
import { hrefOf, navigate } from '../router.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { FloatingMenu, type Anchor, type MenuAction } from '../ui/floating.tsx';
import { enableKeys } from './changes.ts';

const words = strings.keys.menu;
const ICON = 15;

/** The actions of one key, at the button that asked for them. */
export function KeyMenu({ anchor, onClose }: { anchor: Anchor; onClose: () => void }) {
  const row = useApp((state) => state.keys[anchor.id]);
  if (!row) return null;
  return (
    <FloatingMenu
      anchor={anchor.element}
      label={strings.keys.actionsOf(row.name)}
      actions={actionsFor(row, anchor.element)}
      onClose={(focusBack) => {
        onClose();
        if (focusBack) anchor.element.focus();
      }}
    />
  );
}

function actionsFor(row: KeyRow, from: HTMLElement): MenuAction[] {
  const { id } = row;
  const enabled = row.status !== 'disabled';
  return [
    {
      label: words.connect,
      icon: <IconPlugConnected size={ICON} />,
      run: () => openDialog({ kind: 'connect-key', id }, from),
    },
    {
      label: words.activity,
      icon: <IconActivity size={ICON} />,
      run: () => navigate(hrefOf('activity', { key: id })),
    },
    {
      label: words.rename,
      icon: <IconPencil size={ICON} />,
      run: () => openDialog({ kind: 'rename-key', id }, from),
    },
    ...(row.limitNano === null && row.recurring === null
      ? []
      : [
          {
            label: words.topUp,
            icon: <IconCoin size={ICON} />,
            run: () => openDialog({ kind: 'edit-limit', id, topUp: true }, from),
          },
        ]),
    ...(row.pause === null
      ? []
      : [
          {
            label: strings.limits.key.resume,
            icon: <IconPlayerPlay size={ICON} />,
            run: () => void resumeKey(row),
          },
        ]),
    {
      label: enabled ? words.disable : words.enable,
      icon: enabled ? <IconPlayerPause size={ICON} /> : <IconPlayerPlay size={ICON} />,
      run: () => void enableKeys([id], !enabled),
    },
    {
      label: words.rotate,
      icon: <IconRefresh size={ICON} />,
      run: () => openDialog({ kind: 'rotate-key', id }, from),
    },
    {
      label: words.delete,
      icon: <IconTrash size={ICON} />,
      danger: true,
      run: () => openDialog({ kind: 'delete-key', id }, from),
    },
  ];
}
