const TICK_MS = 100;

export interface Deadline {
  /** Of its time, what has not passed yet. */
  leftMs(): number;
}

/**
 * Calls `late` once `ms` have passed in which the process could have done its work. Time in which the machine slept, or
 * the process stood still before a slow disk, does not count: after it there is still the same left to settle in. Keeps
 * no process from ending.
 */
export function startDeadline(ms: number, late: () => void): Deadline {
  let left = ms / TICK_MS;
  // A tick that is missed is not made up for.
  const ticking = setInterval(
    () => {
      left -= 1;
      if (left > 0) return;
      clearInterval(ticking);
      late();
    },
    Math.min(ms, TICK_MS),
  ).unref();
  return { leftMs: () => Math.max(0, left * TICK_MS) };
}
