/** Calls of the contract from the desktop's own parts, typed by the method's name. */
import { methods, type Output } from '#shared/contract.ts';
import type { Call, Gateway } from './gateway/gateway.ts';

/** The returned function rejects with the contract's own sentence, which is fit to be shown. */
export function callsOf(gateway: Pick<Gateway, 'dispatch'>): Call {
  return async (name, input) => {
    const answer = await gateway.dispatch(name, input);
    if (!answer.ok) throw new Error(answer.error.message);
    return methods[name].output.parse(answer.value) as Output<typeof name>;
  };
}
