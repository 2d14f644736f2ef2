/** JSON as people keep it: comments and commas too many are left where they are. */
import { applyEdits, modify, parse, type FormattingOptions, type ParseError } from 'jsonc-parser';
import { ConfigSyntaxError, indexOfNamed, isTable, type Format, type Path } from './format.ts';

export const jsonFormat: Format = {
  read(text) {
    if (text.trim() === '') return {};
    const errors: ParseError[] = [];
    const value: unknown = parse(text, errors, { allowTrailingComma: true });
    const [first] = errors;
    if (first) throw new ConfigSyntaxError(text.slice(0, first.offset).split('\n').length);
    return value;
  },

  set(text, path, value, eol) {
    const whole = text.trim() === '' ? `{}${eol}` : text;
    const edits = modify(whole, toJsonPath(whole, path), value, {
      ...formatting(whole, eol),
      // In front of the others: a comment at the end of the last line stays with the setting it is about.
      getInsertionIndex: () => 0,
    });
    return applyEdits(whole, edits);
  },

  remove(text, path, eol) {
    return applyEdits(text, modify(text, toJsonPath(text, path), undefined, formatting(text, eol)));
  },
};

function toJsonPath(text: string, path: Path): (string | number)[] {
  let value = jsonFormat.read(text);
  return path.map((segment) => {
    if (typeof segment === 'string') {
      value = isTable(value) ? value[segment] : undefined;
      return segment;
    }
    const list: unknown[] = Array.isArray(value) ? value : [];
    const index = indexOfNamed(list, segment.named);
    value = list[index];
    return index === -1 ? list.length : index;
  });
}

/** As the file is laid out; one that is all on one line stays on it. */
function formatting(text: string, eol: string): { formattingOptions?: FormattingOptions } {
  const trimmed = text.trim();
  if (!trimmed.includes('\n') && trimmed !== '{}') return {};
  const indent = /^([ \t]+)\S/m.exec(text)?.[1] ?? '  ';
  return {
    formattingOptions: {
      insertSpaces: !indent.startsWith('\t'),
      tabSize: indent.startsWith('\t') ? 4 : indent.length,
      eol,
    },
  };
}
