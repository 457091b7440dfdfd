import type { Page } from 'playwright-core';
import { percentileOf, row } from './harness.ts';
import type { Row } from './harness.ts';
import { benchAgent, benchBrowser, isStored } from './web-agent.ts';
import { ATTRIBUTES, visit } from './web-start.ts';

const SLOW_MS = 32;

interface Fling {
  /** ms from each frame to the next. */
  frames: number[];
  /** Frames in which a visible line had no content yet. */
  blank: number;
}

/**
 * A fling through a table: the scroll moves at each frame by what a hand gives, slowing down from 6,000 px/s, again
 * and again for ten seconds. A frame over 32 ms is one that a person sees stand still. The floor is a page of the same
 * number of lines of plain text.
 */
export async function measureScroll(smoke: boolean): Promise<Row[]> {
  const size = smoke ? 200 : 100_000;
  const seconds = smoke ? 0.5 : 10;
  await using agent = await benchAgent([
    { project: 'bench', runs: size, newest: Date.now() - 60_000, attributes: ATTRIBUTES },
  ]);
  await using browser = await benchBrowser();
  const first = await browser.context.newPage();
  await visit(first, `${agent.url}/p/bench`, size);
  await isStored(first, 'bench');
  await first.close();
  const page = await browser.context.newPage();
  await visit(page, `${agent.url}/p/bench`, size);
  const table = await fling(page, '[role=grid]', seconds);
  const plain = await browser.context.newPage();
  await plain.setContent(
    `<div id="plain" style="height:800px;overflow:auto"><div style="height:${28 * size}px">${'<p>line</p>'.repeat(1_000)}</div></div>`,
  );
  const floor = await fling(plain, '#plain', seconds);
  const name = `${size} runs, ${ATTRIBUTES} attributes: a fling of ${seconds} s`;
  return [
    ...frameRows('fieldbook in Chromium', name, table),
    row({
      system: 'fieldbook in Chromium',
      case: name,
      figure: 'blank_frames',
      value: table.blank,
      note: 'a line in sight had no content yet',
    }),
    ...frameRows('floor: a page of plain text', name, floor),
  ];
}

function frameRows(system: string, name: string, { frames }: Fling): Row[] {
  return [
    row({
      system,
      case: name,
      figure: 'slow_frames',
      value: frames.filter((ms) => ms > SLOW_MS).length,
      note: `of ${frames.length}; slow is over ${SLOW_MS} ms`,
    }),
    row({ system, case: name, figure: 'frame_p95_ms', value: percentileOf(frames, 95) }),
  ];
}

async function fling(page: Page, selector: string, seconds: number): Promise<Fling> {
  await page.bringToFront();
  return page.evaluate(
    ([where, length]) =>
      new Promise<Fling>((resolve) => {
        const scroller = document.querySelector<HTMLElement>(where)!;
        const frames: number[] = [];
        let blank = 0;
        let speed = 6_000;
        let before = performance.now();
        const end = before + length * 1_000;
        const step = (now: number): void => {
          const ms = now - before;
          before = now;
          frames.push(ms);
          for (const line of scroller.querySelectorAll('[role=row]')) {
            const { top, bottom } = line.getBoundingClientRect();
            if (bottom > 120 && top < innerHeight && line.childElementCount === 0) {
              blank += 1;
              break;
            }
          }
          if (now >= end) {
            resolve({ frames: frames.slice(1), blank });
            return;
          }
          scroller.scrollTop += (speed * Math.min(ms, 50)) / 1_000;
          speed *= 0.985;
          if (speed < 200) speed = 6_000;
          requestAnimationFrame(step);
        };
        requestAnimationFrame(step);
      }),
    [selector, seconds] as const,
  );
}
