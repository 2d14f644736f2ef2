/** What the contract's handlers are made of, and how the program itself calls them. */
import type { Answer, ContractError, Input, MethodName, Output, Parsed } from '#shared/contract.ts';
import { readAnswer } from '#shared/wire.ts';

export type Handlers = { [N in MethodName]: (input: Parsed<N>) => Output<N> | Promise<Output<N>> };

/** Methods that need more of the machine than a data folder: given by the program that starts the gateway. */
export type MachineMethod = Extract<MethodName, `connect.${string}`>;
export type MachineHandlers = Pick<Handlers, MachineMethod>;

/** A handler's refusal: becomes the envelope's error as it is. */
export class CallError extends Error {
  readonly error: ContractError;
  constructor(code: ContractError['code'], message: string, field?: string) {
    super(message);
    this.error = field === undefined ? { code, message } : { code, message, field };
  }
}

/** A call of the contract from inside the program. Rejects with a `CallError`, whose sentence is fit to be shown. */
export type Call = <N extends MethodName>(name: N, input: Input<N>) => Promise<Output<N>>;

export function callsOf(gateway: {
  dispatch(name: unknown, input: unknown): Promise<Answer<unknown>>;
}): Call {
  return async (name, input) => {
    const answer = readAnswer(name, await gateway.dispatch(name, input));
    if (answer === null)
      throw new CallError('internal', `The answer to ${name} is not what the contract says.`);
    if (!answer.ok) throw new CallError(answer.error.code, answer.error.message, answer.error.field);
    return answer.value;
  };
}

export function mustBe<T>(found: T | undefined | null, what: string): T {
  if (found === undefined || found === null)
    throw new CallError('not_found', `This ${what} does not exist any more.`);
  return found;
}
