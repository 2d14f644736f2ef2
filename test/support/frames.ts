/** What a person feels of a page and a test does not see: frames that came late, and things that moved by themselves. */
import type { Page } from '@playwright/test';

export interface FrameRecord {
  /** Milliseconds between frames, in order. */
  frames: number[];
  /** Sum of the scores of layout shifts nobody caused by a key or a click (Layout Instability API). */
  shift: number;
  /** What moved, from where to where. */
  moved: string[];
}

/** Records from now until the returned function is called. */
export async function recordFrames(page: Page): Promise<() => Promise<FrameRecord>> {
  await page.evaluate(() => {
    const record = { frames: [] as number[], shift: 0, moved: [] as string[], stop: () => {} };
    let [last, running] = [performance.now(), true];
    const frame = (now: number) => {
      record.frames.push(now - last);
      last = now;
      if (running) requestAnimationFrame(frame);
    };
    requestAnimationFrame((now) => {
      last = now;
      requestAnimationFrame(frame);
    });
    const shifts = (entries: PerformanceEntryList) => {
      for (const entry of entries) {
        // Not in TypeScript's library: LayoutShift.
        const { value, hadRecentInput, sources } = entry as PerformanceEntry & {
          value: number;
          hadRecentInput: boolean;
          sources: { node: Node | null; previousRect: DOMRectReadOnly; currentRect: DOMRectReadOnly }[];
        };
        if (hadRecentInput) continue;
        record.shift += value;
        for (const { node, previousRect: from, currentRect: to } of sources) {
          const name = node instanceof Element ? `${node.localName}.${node.className}` : node?.textContent;
          record.moved.push(
            `${name} ${from.x},${from.y} ${from.width}x${from.height} → ${to.x},${to.y} ${to.width}x${to.height}`,
          );
        }
      }
    };
    const observer = new PerformanceObserver((list) => shifts(list.getEntries()));
    observer.observe({ type: 'layout-shift' });
    record.stop = () => {
      running = false;
      shifts(observer.takeRecords());
      observer.disconnect();
    };
    Object.assign(window, { frameRecord: record });
  });
  return () =>
    page.evaluate(() => {
      const { frames, shift, moved, stop } = Reflect.get(window, 'frameRecord') as {
        frames: number[];
        shift: number;
        moved: string[];
        stop: () => void;
      };
      stop();
      return { frames, shift, moved };
    });
}
