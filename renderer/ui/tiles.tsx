import type { ReactNode } from 'react';

/** Numbers side by side, each with its name above and what to hold it against below. */
export function Tiles({ children }: { children: ReactNode }) {
  return <dl className="tiles">{children}</dl>;
}

export function Tile({
  label,
  value,
  note,
  title,
}: {
  label: string;
  value: ReactNode;
  note?: ReactNode;
  title?: string;
}) {
  return (
    <div className="tile" title={title}>
      <dt>{label}</dt>
      <dd>
        <span className="tile-value">{value}</span>
        <div className="tile-note">{note}</div>
      </dd>
    </div>
  );
}

/** A part of a page under its own heading. */
export function Block({
  title,
  text,
  tools,
  children,
}: {
  title: string;
  text?: string;
  tools?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section className="block">
      <div className="block-head">
        <h2>{title}</h2>
        {text !== undefined && <p className="hint">{text}</p>}
        {tools !== undefined && <span className="toolbar-end">{tools}</span>}
      </div>
      {children}
    </section>
  );
}
