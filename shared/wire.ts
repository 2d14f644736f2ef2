/** What travels between the two ends of the contract, read back into what its method or event promises. */
import * as z from 'zod';
import {
  ContractError,
  events,
  isEventName,
  methods,
  type Answer,
  type EventData,
  type EventName,
  type MethodName,
  type Output,
} from './contract.ts';

/** One event, its data told by its name. */
export type EventMessage<Names extends EventName = EventName> = {
  [N in Names]: { name: N; data: EventData<N> };
}[Names];

/** `window.faregate`, as the preload exposes it. Both ends parse what they get by the contract; in between it is unknown. */
export interface WindowBridge {
  call(name: string, input: unknown): Promise<unknown>;
  /** Returns the function that ends the subscription. */
  subscribe(listener: (name: string, data: unknown) => void): () => void;
}

/** An answer to whatever was asked, its value not read yet. */
export const Envelope = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), value: z.unknown() }),
  z.object({ ok: z.literal(false), error: ContractError }),
]);

/** null where it is no answer to this method: the two ends are of different versions. */
export function readAnswer<N extends MethodName>(name: N, answer: unknown): Answer<Output<N>> | null {
  const envelope = Envelope.safeParse(answer);
  if (!envelope.success) return null;
  if (!envelope.data.ok) return envelope.data;
  const value = methods[name].output.safeParse(envelope.data.value);
  // The schema was picked by the name, which the compiler cannot follow through the table.
  return value.success ? { ok: true, value: value.data as Output<N> } : null;
}

/** null where it is no event that is known, or not its data. */
export function readEvent(name: string, data: unknown): EventMessage | null {
  if (!isEventName(name)) return null;
  const parsed = events[name].safeParse(data);
  // As above: the data is what the schema of this very name has parsed.
  return parsed.success ? ({ name, data: parsed.data } as EventMessage) : null;
}
