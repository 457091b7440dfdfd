import type { Page } from 'playwright-core';
import { medianRow, percentileOf, repeatsFor, row } from './harness.ts';
import type { Row } from './harness.ts';
import { benchAgent, benchBrowser, isStored } from './web-agent.ts';

export const ATTRIBUTES = 300;
const QUERY = 'status:finished and params/lr < 0.01 and tags has "baseline" and val/loss.min < 0.5';
const WAIT_MS = 300_000;
const SYSTEM = 'fieldbook in Chromium';

interface Visit {
  /** ms from the navigation to the first row that can be clicked. */
  first: number;
  /** ms until every run can be sorted, searched and scrolled to. */
  all: number;
}

/**
 * A project's page on a real agent with made-up runs: a cold start (nothing in the browser), warm ones (a browser that
 * was started anew, with what it stored at the last visit) and a query typed letter by letter. The floor is the same
 * page with one run.
 */
export async function measureStart(smoke: boolean): Promise<Row[]> {
  const { repeats } = repeatsFor(smoke);
  const rows: Row[] = [];
  for (const size of smoke ? [100] : [1_000, 10_000, 100_000]) {
    const newest = Date.now() - 60_000;
    await using agent = await benchAgent([
      { project: 'bench', runs: size, newest, attributes: ATTRIBUTES },
      { project: 'floor', runs: 1, newest, seed: 2 },
    ]);
    const figures = { cold: [] as Visit[], warm: [] as Visit[], floor: [] as Visit[], keys: [] as number[] };
    // A cold start of 100,000 runs takes them all over the network; it is not repeated as often.
    for (let round = 0; round < (size > 10_000 ? 1 : repeats); round++) {
      await using browser = await benchBrowser();
      const page = await browser.context.newPage();
      figures.cold.push(await visit(page, `${agent.url}/p/bench`, size));
      await isStored(page, 'bench');
      await isStored(page, 'floor');
      await page.close();
      for (let again = 0; again < (size > 10_000 ? repeats : 1); again++) {
        figures.floor.push(await visitOnce(browser.context, `${agent.url}/p/floor`, 1));
        figures.warm.push(await visitOnce(browser.context, `${agent.url}/p/bench`, size));
      }
      const warm = await browser.context.newPage();
      await visit(warm, `${agent.url}/p/bench`, size);
      figures.keys.push(...(await typed(warm, QUERY)));
    }
    const name = `${size} runs, ${ATTRIBUTES} attributes`;
    const of = (visits: readonly Visit[], part: keyof Visit): number[] => visits.map((each) => each[part]);
    for (const kind of ['cold', 'warm'] as const)
      for (const part of ['first', 'all'] as const)
        rows.push(
          medianRow(of(figures[kind], part), {
            system: SYSTEM,
            case: `${name}: ${kind} start`,
            figure: `${part}_rows_ms`,
          }),
        );
    rows.push(
      medianRow(of(figures.floor, 'all'), {
        system: 'floor: the same page with one run',
        case: `${name}: warm start`,
        figure: 'all_rows_ms',
      }),
      ...keyRows(name, figures.keys),
    );
  }
  return rows;
}

function keyRows(name: string, keys: readonly number[]): Row[] {
  const fields = { system: SYSTEM, case: `${name}: each letter of a query`, repeats: keys.length };
  return [
    row({ ...fields, figure: 'key_to_paint_p50_ms', value: percentileOf(keys, 50) }),
    row({ ...fields, figure: 'key_to_paint_p95_ms', value: percentileOf(keys, 95) }),
  ];
}

async function visitOnce(context: { newPage(): Promise<Page> }, url: string, size: number): Promise<Visit> {
  const page = await context.newPage();
  try {
    return await visit(page, url, size);
  } finally {
    await page.close();
  }
}

/** Times are those of the page's own clock, taken in the frame after the rows are there. */
export async function visit(page: Page, url: string, size: number): Promise<Visit> {
  await page.goto(url, { waitUntil: 'commit' });
  const options = { timeout: WAIT_MS, polling: 'raf' } as const;
  const first = await page.waitForFunction(
    () => (document.querySelector('[role=rowheader] a') === null ? null : performance.now()),
    undefined,
    options,
  );
  const all = await page.waitForFunction(
    (count) => {
      const grid = document.querySelector('[role=grid]');
      return grid?.getAttribute('aria-busy') === 'false' && grid.getAttribute('aria-rowcount') === String(count + 1)
        ? performance.now()
        : null;
    },
    size,
    options,
  );
  return { first: (await first.jsonValue())!, all: (await all.jsonValue())! };
}

/**
 * ms of each letter from its key to the frame that shows its answer, as the browser's own event timing has it where
 * rows change: the table says which query its rows answer.
 */
export async function typed(page: Page, query: string): Promise<number[]> {
  await page.getByRole('combobox', { name: 'Query' }).click();
  await page.evaluate(() => {
    const times: number[] = [];
    Object.assign(globalThis, { keyTimes: times });
    document.querySelector('[data-search]')!.addEventListener('input', (event) => {
      const began = event.timeStamp;
      const wanted = (event.target as HTMLInputElement).value;
      const look = (): void => {
        if (document.querySelector('[data-query]')?.getAttribute('data-query') !== wanted) requestAnimationFrame(look);
        else {
          // This frame shows it, and has been painted when a task behind it runs.
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = () => times.push(performance.now() - began);
          port2.postMessage(null);
        }
      };
      requestAnimationFrame(look);
    });
  });
  let done = 0;
  for (const letter of query) {
    await page.keyboard.type(letter);
    done += 1;
    await page.waitForFunction(
      (count) => (globalThis as unknown as { keyTimes: number[] }).keyTimes.length >= count,
      done,
      { timeout: WAIT_MS, polling: 'raf' },
    );
  }
  return page.evaluate(() => (globalThis as unknown as { keyTimes: number[] }).keyTimes);
}
