import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { fillSeries } from '../tests/e2e/fill-series.ts';
import { launchChromium } from '../tests/scaffold/browser.ts';
import { absentRows, medianRow, repeatsFor, ROOT } from './harness.ts';
import type { Row } from './harness.ts';

const SYSTEM = 'fieldbook in Chromium';
const WAIT_MS = 120_000;

interface Case {
  project: string;
  runs: number;
  metrics: number;
  points: number;
}

interface Times {
  /** ms from the request for a chart to its painted frame, its data in this browser. */
  first: number;
  zoom: number;
  hover: number;
}

/**
 * Charts in Chromium on a real agent with real segments: 100 series of 2,000 points and 10 of a million, from the moment that a panel is asked for to the frame that
 * shows it, with the data in this browser; a drag to a tenth of them; and a move of the pointer. The floor is a chart of one series of two points.
 */
export async function measureCharts(smoke: boolean): Promise<Row[]> {
  const { repeats, warmUp } = repeatsFor(smoke);
  const cases: Case[] = smoke
    ? [{ project: 'few', runs: 4, metrics: 1, points: 200 }]
    : [
        { project: 'many', runs: 50, metrics: 2, points: 2_000 },
        { project: 'long', runs: 10, metrics: 1, points: 1_000_000 },
      ];
  const floor: Case = { project: 'floor', runs: 1, metrics: 1, points: 2 };
  let browser: Browser;
  try {
    browser = await launchChromium();
  } catch (error) {
    const names = cases.map(nameOf);
    return absentRows(
      SYSTEM,
      names,
      ['first_paint_ms', 'zoom_ms', 'hover_ms'],
      `Chromium does not start: ${String(error).split('\n')[0]}`,
    );
  }
  const home = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
  const agent = spawn(
    process.execPath,
    [join(ROOT, 'packages/node-agent/bin/fieldbook.mjs'), 'up', '--foreground', '--port', '0'],
    {
      env: { ...process.env, FIELDBOOK_HOME: home, FIELDBOOK_USER: 'bench' },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  try {
    const url = await said(agent.stdout);
    const token = readFileSync(join(home, 'agent.token'), 'utf8').trim();
    for (const { project, runs, metrics, points } of [...cases, floor]) {
      await fillSeries(url, token, {
        project,
        newest: Date.now() - 60_000,
        seed: points,
        runs: Array.from({ length: runs }, (_, run) => ({
          run: `${project}-${run}`,
          points,
          metrics: Object.fromEntries(
            Array.from({ length: metrics }, (_, metric) => [
              `m${metric}`,
              (step: number) =>
                1 / (1 + step / 1_000) + (run + metric) / 100 + ((step * 7_919 + run * 104_729) % 1_000) / 20_000,
            ]),
          ),
        })),
      });
    }
    const rows: Row[] = [];
    const times = new Map<string, Times[]>();
    const page = await newPage(browser);
    for (let round = -warmUp - 1; round < repeats; round++) {
      for (const one of [...cases, floor]) {
        const took = await visit(page, url, one);
        // The first round brings the data into the browser.
        if (round >= 0) times.set(one.project, [...(times.get(one.project) ?? []), took]);
      }
    }
    for (const one of [...cases, floor]) {
      const list = times.get(one.project)!;
      const system = one === floor ? 'floor: a chart of one line' : SYSTEM;
      const part = (which: keyof Times): number[] => list.map((each) => each[which]);
      rows.push(
        medianRow(part('first'), {
          system,
          case: nameOf(one),
          figure: 'first_paint_ms',
          note: 'from asking the worker to the painted frame, data in this browser',
        }),
        medianRow(part('zoom'), { system, case: nameOf(one), figure: 'zoom_ms', note: 'a tenth, buckets made anew' }),
        medianRow(part('hover'), {
          system,
          case: nameOf(one),
          figure: 'hover_ms',
          note: 'tooltip and highlighted line',
        }),
      );
    }
    return rows;
  } finally {
    await browser.close();
    agent.kill();
    await new Promise((resolve) => agent.once('exit', resolve));
    rmSync(home, { recursive: true, force: true });
  }
}

function nameOf({ runs, points, metrics }: Case): string {
  return `${runs * metrics} × ${points} points in one chart`;
}

async function newPage(browser: Browser): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US' });
  context.setDefaultTimeout(WAIT_MS);
  await context.addInitScript(() => {
    localStorage.setItem('fieldbook/shape', '"charts"');
    // Two metrics in one chart, as somebody puts them together.
    localStorage.setItem('fieldbook/charts/many', JSON.stringify('jm0*m1'));
  });
  return context.newPage();
}

/** Opens a project's chart, in a tab that has just been elsewhere. */
async function visit(page: Page, url: string, { project, runs, metrics }: Case): Promise<Times> {
  const names = Array.from({ length: runs }, (_, run) => `${project}-${run}`).join(',');
  await page.goto('about:blank');
  await page.goto(`${url}/p/${project}?sel=${names}`);
  await page.locator(`[data-panel][data-count="${runs * metrics}"]`).waitFor();
  const first = await measured(page, runs * metrics);
  const box = (await page.locator('[data-panel] canvas[data-lines=all]').first().boundingBox())!;
  const at = (share: number): [number, number] => [box.x + box.width * share, box.y + box.height * 0.8];
  const hover = page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const take = ({ timeStamp }: MouseEvent): void =>
          void requestAnimationFrame(() => {
            // Behind the frame's painting.
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => resolve(performance.now() - timeStamp);
            port2.postMessage(null);
          });
        addEventListener('mousemove', take, { once: true, capture: true });
        document.documentElement.dataset['listens'] = '';
      }),
  );
  await page.locator('[data-listens]').waitFor({ state: 'attached' });
  await page.mouse.move(...at(0.4));
  const hovered = await hover;
  await page.mouse.move(...at(0.45));
  await page.mouse.down();
  await page.mouse.move(...at(0.55), { steps: 2 });
  await page.evaluate(() => performance.clearMeasures());
  await page.mouse.up();
  const zoom = await measured(page, runs * metrics);
  return { first, zoom, hover: hovered };
}

/** What the page itself measured: from asking the worker to behind the frame that shows so many lines. */
async function measured(page: Page, lines: number): Promise<number> {
  const handle = await page.waitForFunction((wanted) => {
    const found = performance.getEntriesByType('measure').filter(({ name }) => name.startsWith('chart '));
    return (found as PerformanceMeasure[]).find(({ detail }) => (detail as { lines: number }).lines === wanted)
      ?.duration;
  }, lines);
  return (await handle.jsonValue()) as number;
}

async function said(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    const found = /running at (http:\S+)/.exec(text);
    if (found !== null) return found[1]!;
  }
  throw new Error(`The agent did not start: ${text}`);
}
