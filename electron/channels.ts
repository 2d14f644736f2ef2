/** The two channels between the window and the main process. */

export const CALL_CHANNEL = 'faregate:call';
export const EVENT_CHANNEL = 'faregate:event';
