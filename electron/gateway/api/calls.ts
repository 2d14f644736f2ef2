/** What the contract's handlers are made of. */
import type { ContractError, MethodName, Output, Parsed } from '#shared/contract.ts';

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

export function mustBe<T>(found: T | undefined | null, what: string): T {
  if (found === undefined || found === null)
    throw new CallError('not_found', `This ${what} does not exist any more.`);
  return found;
}
