/**
 * Loaded before a program (`--import`): on SIGUSR2 it prints, to the error stream, how long the event loop was held up
 * since the last time, in ms, and the CPU time of the process.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const delays = monitorEventLoopDelay({ resolution: 1 });
delays.enable();
const milliseconds = (nanoseconds: number) => nanoseconds / 1e6;

process.on('SIGUSR2', () => {
  const said = { p99: milliseconds(delays.percentile(99)), max: milliseconds(delays.max) };
  process.stderr.write(`loop-delay ${JSON.stringify(said)}\n`);
  delays.reset();
});
