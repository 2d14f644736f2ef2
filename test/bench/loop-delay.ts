/**
 * Loaded before a program (`--import`): from one SIGUSR2 to the next it measures how long the event loop is held up, and
 * prints it, in ms, to the error stream. In between it costs nothing.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const delays = monitorEventLoopDelay({ resolution: 1 });
const milliseconds = (nanoseconds: number) => nanoseconds / 1e6;
let measuring = false;

process.on('SIGUSR2', () => {
  measuring = !measuring;
  if (measuring) {
    delays.reset();
    delays.enable();
    process.stderr.write('loop-delay {}\n');
    return;
  }
  delays.disable();
  const said = { p99: milliseconds(delays.percentile(99)), max: milliseconds(delays.max) };
  process.stderr.write(`loop-delay ${JSON.stringify(said)}\n`);
});
