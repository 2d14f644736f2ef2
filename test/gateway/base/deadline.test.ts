/** How long an end may take, on machines that sleep and stand still. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startDeadline } from '../../../electron/gateway/base/deadline.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('is over once, after its time', () => {
  const late = vi.fn<() => void>();
  startDeadline(4_900, late);
  vi.advanceTimersByTime(4_800);
  expect(late).not.toHaveBeenCalled();
  vi.advanceTimersByTime(100);
  expect(late).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(60_000);
  expect(late).toHaveBeenCalledTimes(1);
});

test('gives what is settled its whole time where the machine slept meanwhile', () => {
  const late = vi.fn<() => void>();
  const deadline = startDeadline(4_900, late);
  vi.advanceTimersByTime(1_000);
  // The clock goes on without the process: no timer of that hour has fired.
  vi.setSystemTime(Date.now() + 3_600_000);
  expect(deadline.leftMs()).toBe(3_900);
  vi.advanceTimersByTime(3_800);
  expect(late).not.toHaveBeenCalled();
  vi.advanceTimersByTime(100);
  expect(late).toHaveBeenCalledTimes(1);
});

test('is over at once where it was given no time', () => {
  const late = vi.fn<() => void>();
  startDeadline(0, late);
  vi.advanceTimersByTime(1);
  expect(late).toHaveBeenCalledTimes(1);
});
