import { notifications } from '@mantine/notifications';
import type { EventData } from '#shared/contract.ts';
import { hrefOf } from '../router.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';

const words = strings.prices.unpriced;

const idOf = (provider: string, model: string) => `unpriced ${provider} ${model}`;

/** The model has a price now. */
export function hideUnpriced(provider: string, model: string): void {
  notifications.hide(idOf(provider, model));
}

/** A request was refused for want of a price: the way to set one stands in the message. One a model, however often. */
export function notifyUnpriced({ provider, model, keyId }: EventData<'model-unpriced'>): void {
  const id = idOf(provider, model);
  const href = hrefOf('prices', { provider, model });
  notifications.hide(id);
  notifications.show({
    id,
    color: 'yellow',
    title: words.notice(model),
    message: (
      <>
        <Refused keyId={keyId} />{' '}
        <a href={href} className="notice-link" onClick={() => notifications.hide(id)}>
          {words.set}
        </a>
      </>
    ),
    autoClose: 12_000,
    closeButtonProps: { 'aria-label': strings.common.close },
  });
}

/** Follows the key: its row may reach the window a moment after the refusal, or be renamed while this is read. */
function Refused({ keyId }: { keyId: string }) {
  const name = useApp((state) => state.keys[keyId]?.name);
  return words.noticeText(name ?? words.noticeKey);
}
