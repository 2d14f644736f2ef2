import { useState } from 'react';
import { strings } from '../strings.ts';

const words = strings.settings;

/** The terms of all that is bundled: a long text, read only by who opens it. */
export function Licences() {
  const [text, setText] = useState<string | null>(null);

  const load = async () => {
    try {
      const response = await fetch('licences.txt');
      setText(response.ok ? await response.text() : words.licencesMissing);
    } catch {
      setText(words.licencesMissing);
    }
  };

  return (
    <details onToggle={(event) => void (event.currentTarget.open && text === null && load())}>
      <summary>{words.licences}</summary>
      {text !== null && (
        <textarea className="licences" readOnly rows={16} value={text} aria-label={words.licences} />
      )}
    </details>
  );
}
