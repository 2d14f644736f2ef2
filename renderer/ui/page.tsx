/** The parts every page is made of: heading, states, dialog frame, copy button. */
import { Button, Modal, VisuallyHidden } from '@mantine/core';
import { IconAlertTriangle, IconCheck, IconCopy } from '@tabler/icons-react';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { announce, closeDialog } from '../actions.ts';
import type { Loading } from '../store.ts';
import { strings } from '../strings.ts';
import { notifyFailure } from './notify.ts';

export function Page({
  title,
  back,
  tools,
  fill = false,
  className = '',
  children,
}: {
  title: string;
  /** The way to the page above: before the heading, whose name it is no part of. */
  back?: ReactNode;
  tools?: ReactNode;
  /** Takes the window's height; what is inside scrolls, not the page. */
  fill?: boolean;
  className?: string;
  children: ReactNode;
}) {
  return (
    <section className={`page ${fill ? 'page-fill' : ''} ${className}`} aria-labelledby="page-title">
      <div className="page-head">
        {back}
        <h1 id="page-title">{title}</h1>
        <div className="page-tools">{tools}</div>
      </div>
      {children}
    </section>
  );
}

/** What a list shows instead of rows while it is loaded, when that failed, and when there are none. */
export function ListState({
  load,
  empty,
  onRetry,
  children,
}: {
  load: Loading;
  /** Shown where the list is loaded and has no rows; null where it has. */
  empty: ReactNode;
  onRetry: () => void;
  children: ReactNode;
}) {
  if (load.state === 'failed') {
    return (
      <div className="list-failed" role="alert">
        <strong className="with-icon">
          <IconAlertTriangle size={16} />
          {strings.common.loadFailed}
        </strong>
        <p>{load.message}</p>
        <Button variant="default" onClick={onRetry}>
          {strings.common.retry}
        </Button>
      </div>
    );
  }
  if (load.state === 'loading') return <LoadingRows />;
  return empty ?? children;
}

/** Held back for a moment: on a local gateway a list is usually there before a person could read "loading". */
function LoadingRows() {
  return (
    <div className="table-frame loading-rows" aria-busy="true">
      <VisuallyHidden>{strings.common.loading}</VisuallyHidden>
      {[1, 2, 3, 4, 5].map((row) => (
        <span key={row} className="loading-row" aria-hidden="true" />
      ))}
    </div>
  );
}

/** A page while its code is fetched: the heading stands where it will stand. */
export function PageSkeleton({ title }: { title: string }) {
  return (
    <Page title={title}>
      <LoadingRows />
    </Page>
  );
}

export function Empty({ title, text, children }: { title: string; text?: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {text && <p>{text}</p>}
      {children}
    </div>
  );
}

export function Dialog({
  title,
  size = 440,
  keep = false,
  onClose = closeDialog,
  children,
}: {
  title: string;
  size?: number;
  /** Escape and clicks beside it leave it open: it shows something that cannot be shown again. */
  keep?: boolean;
  onClose?: () => void;
  children: ReactNode;
}) {
  return (
    <Modal.Root
      opened
      onClose={onClose}
      size={size}
      closeOnEscape={!keep}
      // A drag that ends outside, or a slip of the pointer, must not lose what was typed.
      closeOnClickOutside={false}
    >
      <Modal.Overlay backgroundOpacity={0.45} />
      <Modal.Content>
        {/* Not Modal.Header: its <header> would count as a second banner of the page. */}
        <div className="dialog-head">
          <Modal.Title>{title}</Modal.Title>
          <Modal.CloseButton aria-label={strings.common.close} />
        </div>
        <Modal.Body>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}

export function DialogButtons({
  submit,
  cancel = strings.common.cancel,
  busy,
  danger = false,
  disabled = false,
}: {
  submit: string;
  cancel?: string;
  busy: boolean;
  danger?: boolean;
  disabled?: boolean;
}) {
  return (
    <div className="dialog-buttons">
      <Button variant="default" onClick={closeDialog} {...(danger ? { 'data-autofocus': true } : {})}>
        {cancel}
      </Button>
      <Button type="submit" loading={busy} disabled={disabled} color={danger ? 'red' : 'indigo'}>
        {submit}
      </Button>
    </div>
  );
}

export function FormError({ message }: { message: string | null }) {
  if (message === null) return null;
  return (
    <p className="warning warning-bad" role="alert">
      <IconAlertTriangle size={15} />
      {message}
    </p>
  );
}

/** A question with a safe default: the focus starts on Cancel. */
export function ConfirmDialog({
  title,
  text,
  submit,
  run,
  danger = true,
}: {
  title: string;
  text: string;
  submit: string;
  danger?: boolean;
  /** Returns the sentence to show where it failed. */
  run: () => Promise<string | null>;
}) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const confirm = async () => {
    setBusy(true);
    const message = await run();
    setBusy(false);
    setFailure(message);
  };
  return (
    <Dialog title={title}>
      <form className="dialog-form" onSubmit={submitting(confirm)}>
        <p>{text}</p>
        <FormError message={failure} />
        <DialogButtons submit={submit} busy={busy} danger={danger} />
      </form>
    </Dialog>
  );
}

/** A submit handler: the page must not be left, and a second Enter while one save is under way does nothing. */
export function submitting(run: () => Promise<void>) {
  return (event: React.FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    if (form.dataset['busy']) return;
    form.dataset['busy'] = 'yes';
    void run().finally(() => delete form.dataset['busy']);
  };
}

const SHOWN_COPIED_MS = 1_600;

function useCopy(): [copied: boolean, copy: (text: string) => void] {
  const [copied, setCopied] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async (text: string) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      notifyFailure(strings.common.copyFailed);
      return;
    }
    setCopied(true);
    announce(strings.common.copied);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setCopied(false), SHOWN_COPIED_MS);
  };
  return [copied, (text) => void copy(text)];
}

export function CopyIcon({ text, label }: { text: string; label: string }) {
  const [copied, copy] = useCopy();
  return (
    <button
      type="button"
      className="icon-button"
      aria-label={label}
      title={copied ? strings.common.copied : label}
      onClick={() => copy(text)}
    >
      {copied ? <IconCheck size={15} className="good" /> : <IconCopy size={15} />}
    </button>
  );
}

export function CopyButton({
  text,
  label,
  primary = false,
  onCopied,
}: {
  text: string;
  label: string;
  primary?: boolean;
  onCopied?: () => void;
}) {
  const [copied, copy] = useCopy();
  return (
    <Button
      variant={primary ? 'filled' : 'default'}
      {...(primary ? { 'data-autofocus': true } : {})}
      leftSection={copied ? <IconCheck size={15} /> : <IconCopy size={15} />}
      onClick={() => {
        copy(text);
        onCopied?.();
      }}
    >
      {copied ? strings.common.copied : label}
    </Button>
  );
}
