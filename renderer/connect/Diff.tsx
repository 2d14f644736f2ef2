/** The change to files, line by line: signs and elements say what colours alone would not. */
import { createElement } from 'react';
import type { ConnectPlan, DiffLine } from '#shared/connect.ts';
import { strings } from '../strings.ts';

const words = strings.connect;

export function Diff({ files }: { files: ConnectPlan['files'] }) {
  const changed = files.filter((file) => file.diff.length > 0);
  if (changed.length === 0) return <p className="dim">{words.nothingToWrite}</p>;
  return changed.map(({ path, whole, diff }) => (
    <figure key={path} className="diff" aria-label={words.diffOf(path)}>
      <figcaption>
        <code>{path}</code>
        {whole !== null && <span className="dim">{words[whole]}</span>}
      </figcaption>
      {createElement('pre', null, ...diff.map(showLine))}
    </figure>
  ));
}

/** Lines are shown once and never move, so they go without keys. */
function showLine({ kind, text }: DiffLine) {
  switch (kind) {
    case 'add':
      return <ins className="diff-line">{`+ ${text}\n`}</ins>;
    case 'remove':
      return <del className="diff-line">{`- ${text}\n`}</del>;
    case 'same':
      return <span className="diff-line">{`  ${text}\n`}</span>;
    case 'gap':
      return <span className="diff-line dim" role="separator" aria-label={words.more}>{`  …\n`}</span>;
  }
}
