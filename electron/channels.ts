/** The two channels between the window and the main process, and what the page sees of them. */

export const CALL_CHANNEL = 'faregate:call';
export const EVENT_CHANNEL = 'faregate:event';

/** `window.faregate`. Both ends parse what they get by the contract; in between it is unknown. */
export interface WindowBridge {
  call(name: string, input: unknown): Promise<unknown>;
  /** Returns the function that ends the subscription. */
  subscribe(listener: (name: string, data: unknown) => void): () => void;
}
