import { Fragment } from 'react';
import { pageNames } from './router.ts';
import { MOD, pageKeys } from './shortcuts.ts';
import { strings } from './strings.ts';
import { Dialog } from './ui/page.tsx';

const words = strings.shortcuts;

export function ShortcutsDialog() {
  const rows: [label: string, keys: string[]][] = [
    [words.palette, [`${MOD}K`]],
    [words.newKey, ['N']],
    [words.filter, ['/']],
    [words.undo, [`${MOD}Z`]],
    [words.help, ['?']],
    ...pageNames.map((page): [string, string[]] => [
      words.goTo(strings.pages[page]),
      ['G', pageKeys[page].toUpperCase()],
    ]),
  ];
  return (
    <Dialog title={words.title}>
      <dl className="facts shortcuts">
        {rows.map(([label, keys]) => (
          <Fragment key={label}>
            <dt>{label}</dt>
            <dd className="nowrap">
              {keys.map((key, index) => (
                <Fragment key={key}>
                  {index > 0 && <span className="dim"> {words.thenPress} </span>}
                  <kbd>{key}</kbd>
                </Fragment>
              ))}
            </dd>
          </Fragment>
        ))}
      </dl>
    </Dialog>
  );
}
