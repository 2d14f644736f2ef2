/** The contract over the bridge, as the page's own script calls it. */
import type { Page } from '@playwright/test';
import type { Answer, MethodName, Output } from '#shared/contract.ts';
import type { Caller } from './gateway.ts';

/** An expression for the page, which gives the answer as it came. The name need not be one of the contract's. */
export const callFromPage = (name: string, input: unknown = {}): string =>
  `window.faregate.call(${JSON.stringify(name)}, ${JSON.stringify(input)})`;

/** The value of an answer; throws with what went wrong where there is none. */
export function callerIn(page: Pick<Page, 'evaluate'>): Caller['call'] {
  return async <N extends MethodName>(name: N, input: unknown) => {
    const answer = await page.evaluate<Answer<Output<N>>>(callFromPage(name, input));
    if (!answer.ok) throw new Error(`${name}: ${answer.error.message}`);
    return answer.value;
  };
}
