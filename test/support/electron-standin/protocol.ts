/** Messages between a test and the app it drives, over the IPC of Node's child processes. */

/** What the app did that a window system would show or keep. */
export type Recorded =
  | { what: 'ready' }
  | { what: 'window'; options: Record<string, unknown> }
  | { what: 'show' | 'focus' | 'closed' | 'reload' }
  | { what: 'dialog'; id: number; options: { message: string; detail?: string; buttons: string[] } }
  | { what: 'error-box'; title: string; content: string }
  | { what: 'notification'; id: number; title: string; body: string; actions: string[] }
  | { what: 'notification-closed'; id: number }
  | { what: 'show-in-folder'; file: string }
  | { what: 'open-external'; url: string }
  | { what: 'bounds'; bounds: { x: number; y: number; width: number; height: number } }
  /** Also when its picture changes. */
  | { what: 'tray'; image: string; imageExists: boolean }
  | { what: 'tray-tooltip'; text: string }
  | { what: 'tray-menu'; labels: string[] }
  | { what: 'navigation-refused'; url: string; frame: 'main' | 'sub' }
  | { what: 'window-open'; url: string; action: string }
  | { what: 'quit'; code: number };

/** What a person, the system or an attacker does. */
export type Command =
  | { do: 'answer-dialog'; id: number; response: number }
  | { do: 'close-window' }
  | { do: 'click-tray' }
  | { do: 'choose-tray-item'; label: string }
  /** Without `action` a click on the notice itself. */
  | { do: 'answer-notification'; id: number; action?: number }
  | { do: 'power'; event: 'suspend' | 'resume' | 'lock-screen' | 'shutdown' }
  /** The window's screen is now this one, the only one. */
  | { do: 'change-display'; workArea: { x: number; y: number; width: number; height: number } }
  | { do: 'hang-page' }
  | { do: 'quit' }
  /** Leads the window to another page past the guards, as a hole in them would. */
  | { do: 'force-load'; url: string }
  | { do: 'crash-page' }
  | { do: 'ask-permission'; id: number; permission: string };

export type FromApp = Recorded | { what: 'permission'; id: number; requested: boolean; checked: boolean };

/** The environment of the app under test. */
export const CDP_ENDPOINT = 'FAREGATE_STANDIN_CDP';
export const PRELOAD_IN_EVERY_FRAME = 'FAREGATE_STANDIN_PRELOAD_EVERYWHERE';
/** JSON of the work area of the one screen. */
export const DISPLAY = 'FAREGATE_STANDIN_DISPLAY';
/** What was encrypted so far was encrypted elsewhere. */
export const OTHER_MACHINE = 'FAREGATE_STANDIN_OTHER_MACHINE';
/** The system's store has a newer key than the one that was used so far. */
export const NEWER_KEY = 'FAREGATE_STANDIN_NEWER_KEY';
/** The folder of resources that the app is installed with; without it the app runs from a checkout. */
export const RESOURCES = 'FAREGATE_STANDIN_RESOURCES';
export const KEYRING = 'FAREGATE_STANDIN_KEYRING';
