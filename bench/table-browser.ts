import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { launchChromium } from '../tests/scaffold/browser.ts';
import { fill } from '../tests/e2e/fill.ts';
import { medianRow, repeatsFor, ROOT } from './harness.ts';
import type { Row } from './harness.ts';

const NARROW = 'status:finished and params/lr < 0.01 and tags has "baseline" and val/loss.min < 0.5';
const WAIT_MS = 120_000;

interface Visit {
  /** ms from the navigation to the first row that can be clicked. */
  first: number;
  /** ms until every run is in the table. */
  all: number;
}

/**
 * The table in Chromium, on a real agent with made-up runs: a cold start (nothing in the browser), a warm one (a
 * second visit), and a query typed into a warm table until its rows are painted. The floor is the same page with a
 * project of one run.
 */
export async function measureBrowser(smoke: boolean): Promise<Row[]> {
  const { repeats } = repeatsFor(smoke);
  const rows: Row[] = [];
  for (const size of smoke ? [100] : [10_000, 100_000]) {
    const home = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
    const agent = spawn(
      process.execPath,
      [join(ROOT, 'packages/node-agent/bin/fieldbook.mjs'), 'up', '--foreground', '--port', String(await freePort())],
      {
        env: { ...process.env, FIELDBOOK_HOME: home, FIELDBOOK_USER: 'bench' },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const browser = await launchChromium();
    try {
      const url = await says(agent.stdout);
      const token = readFileSync(join(home, 'agent.token'), 'utf8').trim();
      const newest = Date.now() - 60_000;
      await fill(url, token, { project: 'bench', runs: size, newest });
      await fill(url, token, { project: 'floor', runs: 1, newest, seed: 2 });
      const figures = { cold: [] as Visit[], warm: [] as Visit[], floor: [] as Visit[], query: [] as number[] };
      for (let round = 0; round < repeats; round++) {
        figures.floor.push(
          await coldAndWarm(browser, `${url}/p/floor`, 1, async () => undefined).then(({ warm }) => warm),
        );
        const { cold, warm } = await coldAndWarm(browser, `${url}/p/bench`, size, async (page) => {
          figures.query.push(await queryTime(page, 'val/loss.min < 0.5'), await queryTime(page, NARROW));
        });
        figures.cold.push(cold);
        figures.warm.push(warm);
      }
      const name = `${size} runs, 20 attributes`;
      const system = 'fieldbook in Chromium';
      const of = (visits: readonly Visit[], part: keyof Visit): number[] => visits.map((visit) => visit[part]);
      rows.push(
        medianRow(of(figures.cold, 'first'), { system, case: `${name}: cold start`, figure: 'first_rows_ms' }),
        medianRow(of(figures.cold, 'all'), { system, case: `${name}: cold start`, figure: 'all_rows_ms' }),
        medianRow(of(figures.warm, 'first'), {
          system,
          case: `${name}: warm start`,
          figure: 'first_rows_ms',
          note: 'the rows on screen at the last visit',
        }),
        medianRow(of(figures.warm, 'all'), { system, case: `${name}: warm start`, figure: 'all_rows_ms' }),
        medianRow(of(figures.floor, 'all'), {
          system: 'floor: the same page with one run',
          case: `${name}: warm start`,
          figure: 'all_rows_ms',
        }),
        medianRow(figures.query, { system, case: `${name}: query typed`, figure: 'filter_sort_to_paint_ms' }),
      );
    } finally {
      await browser.close();
      agent.kill('SIGKILL');
      await new Promise((resolve) => agent.once('close', resolve));
      rmSync(home, { recursive: true, force: true });
    }
  }
  return rows;
}

async function coldAndWarm(
  browser: Browser,
  url: string,
  size: number,
  then: (page: Page) => Promise<void>,
): Promise<{ cold: Visit; warm: Visit }> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US' });
  try {
    const first = await context.newPage();
    const cold = await visitTime(first, url, size);
    // What was seen is kept a second later, and the page's files by then.
    await first.evaluate(() =>
      navigator.serviceWorker.ready.then(() => new Promise((resolve) => setTimeout(resolve, 2_000))),
    );
    await first.close();
    const second = await context.newPage();
    const warm = await visitTime(second, url, size);
    await then(second);
    return { cold, warm };
  } finally {
    await context.close();
  }
}

/** Times are those of the page's own clock, taken in the frame after the rows are there. */
async function visitTime(page: Page, url: string, size: number): Promise<Visit> {
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

/** ms from the last letter of a query to the frame that shows other rows. */
async function queryTime(page: Page, query: string): Promise<number> {
  const field = page.getByRole('combobox', { name: 'Query' });
  await field.fill('');
  await page.waitForTimeout(300);
  return page.evaluate(
    (text) =>
      new Promise<number>((resolve) => {
        const input = document.querySelector<HTMLInputElement>('[data-search]')!;
        const count = (): string | null | undefined =>
          document.querySelector('[role=grid]')?.getAttribute('aria-rowcount');
        const before = count();
        const began = performance.now();
        input.value = text;
        input.dispatchEvent(new Event('input', { bubbles: true }));
        const look = (): void => {
          if (count() === before) requestAnimationFrame(look);
          else requestAnimationFrame(() => resolve(performance.now() - began));
        };
        requestAnimationFrame(look);
      }),
    query,
  );
}

/** The agent's address, once it says it. Its output is read on: nobody likes to write to a closed pipe. */
function says(stream: NodeJS.ReadableStream): Promise<string> {
  let output = '';
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      output += String(chunk);
      const url = /running at (http:\S+)/.exec(output)?.[1];
      if (url !== undefined) resolve(url);
    });
    stream.on('end', () => reject(new Error(`The agent did not start:\n${output}`)));
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
