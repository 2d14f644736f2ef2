/** What is wrong with an input of the contract: sentences that say what to send, and never repeat what was sent. */
import type * as z from 'zod';

/** For what the schema itself has no words of its own. */
export const whatToSend: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? `It is missing. Send ${kindOf(issue.expected)}.`
        : `Send ${kindOf(issue.expected)}.`;
    case 'too_small': {
      const least = String(issue.minimum);
      if (issue.origin === 'string' && least === '1') return 'It is empty. Send at least one character.';
      const bound = issue.inclusive === false ? `more than ${least}` : `at least ${least}`;
      return `Send ${measureOf(issue.origin, bound)}.`;
    }
    case 'too_big': {
      const most = String(issue.maximum);
      const bound = issue.inclusive === false ? `less than ${most}` : `at most ${most}`;
      return `Send ${measureOf(issue.origin, bound)}.`;
    }
    case 'invalid_value': {
      const values = issue.values.map((value) => JSON.stringify(value)).join(', ');
      return issue.values.length === 1 ? `Send ${values}.` : `Send one of ${values}.`;
    }
    case 'unrecognized_keys': {
      const names = issue.keys.map((name) => JSON.stringify(name)).join(', ');
      return `${names} is not known here. Leave it out.`;
    }
    case 'invalid_format':
      return issue.format === 'datetime'
        ? 'Send a time such as "2026-01-31T12:00:00Z".'
        : issue.format === 'date'
          ? 'Send a day such as "2026-01-31".'
          : undefined;
    default:
      return undefined;
  }
};

function kindOf(expected: string): string {
  switch (expected) {
    case 'int':
      return 'a whole number';
    case 'string':
      return 'text';
    case 'boolean':
      return 'true or false';
    case 'array':
      return 'a list';
    case 'object':
    case 'record':
      return 'an object';
    case 'null':
      return 'null';
    default:
      return `a ${expected}`;
  }
}

function measureOf(origin: string, bound: string): string {
  if (origin === 'string') return `${bound} characters`;
  return origin === 'array' ? `${bound} of them` : `a number of ${bound}`;
}
