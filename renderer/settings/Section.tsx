import { useId, type ReactNode } from 'react';

/** Settings of one subject: what it is about on the left, its controls on the right. Each is saved by itself, at once. */
export function Section({ title, text, children }: { title: string; text?: string; children: ReactNode }) {
  const heading = useId();
  return (
    <section className="setting-section" aria-labelledby={heading}>
      <div>
        <h2 id={heading}>{title}</h2>
        {text !== undefined && <p className="hint">{text}</p>}
      </div>
      <div className="setting-controls">{children}</div>
    </section>
  );
}
