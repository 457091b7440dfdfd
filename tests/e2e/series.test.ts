import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { agentAt, freePort, installed, profile, rowOf, says, syncMark, visit } from './visit.ts';

const POINTS = 200_000;
const SPIKE = 123_457;
/** One value beyond all others at one step of many. */
const TRAIN = `
import math, fieldbook
run = fieldbook.init("spikes", run_id="spiky", name="spiky", capture=False)
steps = range(${POINTS})
run["loss"].extend([1e6 if step == ${SPIKE} else math.sin(step / 7) for step in steps], steps=steps)
run.finish()
`;

interface Answer {
  x: number[];
  y: (number | null)[];
  total: number;
  buckets: number;
  origin: string;
  note: string | null;
}

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

/**
 * Asks a worker of the page's own code for a series, as a chart does, over Comlink's messages: what a canvas shows is made
 * of exactly this answer. Each call is a worker anew, so nothing is in memory.
 */
async function seriesIn(page: Page, from: number | null, to: number | null): Promise<Answer> {
  return page.evaluate(
    async ([start, end]) => {
      const { name } = performance
        .getEntriesByType('resource')
        .find(({ name: url }) => /\/worker-[^/]+\.js$/.test(url))!;
      const worker = new Worker(name, { type: 'module' });
      let calls = 0;
      const call = (path: string, parameters: unknown[], transfer: Transferable[] = []): Promise<unknown> => {
        const id = String((calls += 1));
        return new Promise((resolve, reject) => {
          worker.addEventListener('message', ({ data }: MessageEvent) => {
            if (data.id !== id) return;
            if (data.type === 'RAW') resolve(data.value);
            else reject(new Error(JSON.stringify(data.value)));
          });
          worker.postMessage({ id, type: 'APPLY', path: [path], argumentList: parameters }, transfer);
        });
      };
      const raw = (value: unknown): object => ({ type: 'RAW', value });
      const { port1, port2 } = new MessageChannel();
      // The listener's calls have to be answered, or the worker waits.
      port1.addEventListener('message', ({ data }: MessageEvent) =>
        port1.postMessage({ id: data.id, type: 'RAW', value: undefined }),
      );
      port1.start();
      const options = { origin: location.origin, token: null, browser: 'test' };
      await call('start', [raw(options), { type: 'HANDLER', name: 'proxy', value: port2 }], [port2]);
      const query = { run: 'spiky', metric: 'loss', x: 'step', from: start, to: end, updated: 0 };
      const answer = (await call('series', [raw(query)])) as { x: Float64Array; y: Float64Array };
      worker.terminate();
      return { ...answer, x: [...answer.x], y: [...answer.y] } as unknown as Answer;
    },
    [from, to] as const,
  );
}

/** The server's own answer: its points, or the corners of its buckets. */
async function expected(
  agent: Agent,
  from: number | null,
  to: number | null,
): Promise<{ total: number; points: [number, number][] }> {
  const range = `${from === null ? '' : `&from=${from}`}${to === null ? '' : `&to=${to}`}`;
  const { json } = await ask(agent, 'GET', `/runs/spiky/series?metric=loss&points=2000${range}`);
  const points: [number, number][] = [];
  if (json.points !== null)
    json.points.steps.forEach((x: number, at: number) => points.push([x, json.points.values[at]]));
  else {
    const { buckets } = json;
    for (const [px, py] of [
      ['firstX', 'first'],
      ['minX', 'min'],
      ['maxX', 'max'],
      ['lastX', 'last'],
    ] as const)
      buckets[px].forEach((x: number, at: number) => points.push([x, buckets[py][at]]));
  }
  return { total: json.total, points };
}

const ZOOMS: readonly (readonly [from: number | null, to: number | null])[] = [
  [null, null],
  [100_000, 180_000],
  [120_000, 130_000],
  [SPIKE - 500, SPIKE + 500],
];

/** Every corner of the server's answer is drawn, nothing else is, and the spike is where it was recorded. */
function holds(here: Answer, { total, points }: Awaited<ReturnType<typeof expected>>): void {
  expect(here.total).toBe(total);
  const drawn = new Set(here.x.map((x, at) => `${x} ${here.y[at]}`));
  expect(drawn).toEqual(new Set(points.map(([x, y]) => `${x} ${y}`)));
  expect(drawn.has(`${SPIKE} 1000000`)).toBe(true);
}

describe('a chart made in the browser', () => {
  it('[WEB-10] [WEB-11] shows a spike of one point at every zoom, with the server and without, and asks it for no series', async () => {
    const home = emptyFolder('web');
    const { command, env } = pythonForTests();
    const training = startCommand(command, ['-c', TRAIN], { ...env, FIELDBOOK_HOME: home, FIELDBOOK_HOST: 'gpu-1' });
    expect((await training.ended).code, training.output()).toBe(0);
    const agent = await agentAt(home, await freePort());
    await expect
      .poll(async () => (await ask(agent, 'GET', '/runs/spiky/series?metric=loss')).json.total, { timeout: 30_000 })
      .toBe(POINTS);
    const context: BrowserContext = await profile(browser);
    const asked: string[] = [];
    context.on('request', (request) => asked.push(request.url()));
    const page = await visit(context, `${agent.url}/p/spikes`);
    await rowOf(page, 'spiky').click();
    await page.locator('[data-drawn=true]').first().waitFor();
    await installed(page);
    const expectations = [];
    for (const [from, to] of ZOOMS) {
      const wanted = await expected(agent, from, to);
      expectations.push(wanted);
      const here = await seriesIn(page, from, to);
      expect([here.origin, here.note]).toEqual(['fresh', null]);
      holds(here, wanted);
    }
    expect(asked.filter((url) => url.includes('/blobs/')).length).toBeGreaterThan(0);
    expect(asked.filter((url) => url.includes('/series?'))).toEqual([]);

    const address = page.url();
    await agent.program.stop('SIGKILL');
    await page.close();
    const offline = await visit(context, address);
    await says(syncMark(offline), 'Offline');
    await offline.locator('[data-drawn=true]').first().waitFor();
    for (const [index, [from, to]] of ZOOMS.entries()) {
      const here = await seriesIn(offline, from, to);
      expect([here.origin, here.note]).toEqual(['kept', 'As last seen in this browser.']);
      holds(here, expectations[index]!);
    }
    // A range that nobody has looked at, of bytes that are here: made anew, not remembered.
    const near = await seriesIn(offline, SPIKE - 100, SPIKE + 100);
    expect([near.buckets, near.x.length, near.y[100]]).toEqual([0, 201, 1e6]);
  });
});
