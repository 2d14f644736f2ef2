const TICK_MS = 100;

/**
 * Calls `late` once `ms` have passed in which the process could have done its work. Time in which the machine slept or
 * stood still does not count: after it there is still the same left to settle in. Keeps no process from ending.
 */
export function startDeadline(ms: number, late: () => void): void {
  let left = ms / TICK_MS;
  // A tick that is missed is not made up for.
  const ticking = setInterval(() => {
    left -= 1;
    if (left > 0) return;
    clearInterval(ticking);
    late();
  }, TICK_MS).unref();
}
