/** How long a test waits for a state that has to come: what a slow machine under load needs, several times over. */
export const PATIENCE_MS = 60_000;
