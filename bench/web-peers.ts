import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page, Response } from 'playwright-core';
import { launchChromium } from '../tests/scaffold/browser.ts';
import { absentRows, medianRow, repeatsFor, ROOT } from './harness.ts';
import type { Row } from './harness.ts';
import { freePort } from './web-agent.ts';

const BIN = join(ROOT, 'bench/.venv/bin');
const SPIKES = 40;
const FIGURE = 'to_paint_ms';
const WAIT_MS = 180_000;
const FILL_MS = 30 * 60_000;

/** A run's name where a page shows it, with the white space around it that a page may have. */
const NAME = /^\s*run-\d{4}\s*$/;

/** What the script that filled a store says of it. */
type Said = Record<string, string>;

type Part = 'many' | 'long';

interface System {
  name: string;
  /** The program that shows it; a system without it is not installed. */
  program: string;
  /** The Python package whose version is named. */
  python: string | null;
  args: (store: string, port: number, part: Part) => string[];
  env: (store: string, port: number) => Record<string, string>;
  /** Asked until it answers with what `ready` accepts: the moment from which the page can be opened. */
  health: (part: Part) => string;
  ready: (body: string, part: Part, size: number) => boolean;
  many: (said: Said) => string;
  long: (said: Said) => string;
  /** Part of the address of the answer that has the points. */
  points: string;
}

const address = (path: string) => (): string => path;

const SYSTEMS: readonly System[] = [
  {
    name: 'tensorboard',
    program: join(BIN, 'tensorboard'),
    python: 'tensorboard',
    args: (store, port, part) => ['--logdir', join(store, part), '--port', String(port), '--host', '127.0.0.1'],
    env: () => ({}),
    // It reads its files once it listens, and a page that comes before does not ask again.
    health: (part) => (part === 'many' ? '/data/runs' : '/data/plugin/scalars/scalars?run=long&tag=loss'),
    ready: (body, part, size) => {
      const list = JSON.parse(body) as unknown[];
      return part === 'many' ? list.length >= size : (list.at(-1) as number[])[1] === size - 1;
    },
    many: address('/#timeseries'),
    long: address('/#timeseries'),
    points: '/timeSeries',
  },
  {
    name: 'mlflow',
    program: join(BIN, 'mlflow'),
    python: 'mlflow',
    args: (store, port) => [
      'ui',
      '--backend-store-uri',
      `sqlite:///${store}/mlflow.db`,
      '--port',
      String(port),
      '--host',
      '127.0.0.1',
    ],
    env: () => ({}),
    health: address('/health'),
    ready: () => true,
    many: ({ many }) => `/#/experiments/${many}/runs`,
    long: ({ long, run }) => `/#/experiments/${long}/runs/${run}/model-metrics`,
    points: 'get-history',
  },
  {
    name: 'aim',
    program: join(BIN, 'aim'),
    python: 'aim',
    args: (store, port) => ['up', '--repo', store, '--port', String(port), '--host', '127.0.0.1'],
    env: () => ({}),
    health: address('/'),
    ready: () => true,
    many: address('/runs'),
    long: ({ run }) => `/runs/${run}/metrics`,
    points: 'metric/get-batch',
  },
  {
    name: 'trackio',
    program: join(BIN, 'trackio'),
    python: 'trackio',
    args: () => ['show', '--host', '127.0.0.1'],
    env: (store, port) => ({ TRACKIO_DIR: store, GRADIO_SERVER_PORT: String(port) }),
    health: address('/'),
    ready: () => true,
    many: address('/?project=many'),
    long: address('/?project=long'),
    points: 'get_logs_batch',
  },
];

/**
 * The same two errands in Fieldbook and in its peers, each over its own store on this machine: from the command that
 * starts the UI to the first of 1,000 runs on the screen of a fresh browser; and from a running server to a chart of a
 * series of a million points with 40 single-point spikes. A peer's spikes are counted in what its page received,
 * Fieldbook's in the pixels that it drew.
 */
export async function measurePeers(smoke: boolean): Promise<Row[]> {
  const [runs, points] = smoke ? [5, 2_000] : [1_000, 1_000_000];
  const cases = { many: `${runs} runs: command to first runs`, long: `${points} points: chart` } as const;
  const rows: Row[] = [];
  const browser = await launchChromium();
  try {
    rows.push(...(await measureFieldbook(browser, runs, points, cases, smoke)));
    for (const system of SYSTEMS) {
      // A smoke run shows that our half works; the peers take minutes to fill.
      if (smoke || !existsSync(system.program)) {
        rows.push(
          ...absentRows(system.name, Object.values(cases), [FIGURE], smoke ? 'not in a smoke run' : 'not installed'),
        );
        continue;
      }
      rows.push(...(await measurePeer(browser, system, runs, points, cases)));
    }
  } finally {
    await browser.close();
  }
  return rows;
}

type Cases = Readonly<Record<Part, string>>;

async function measurePeer(
  browser: Browser,
  system: System,
  runs: number,
  points: number,
  cases: Cases,
): Promise<Row[]> {
  const store = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
  const label = `${system.name} ${versionOf(system.python!)}`;
  try {
    const said = fillStore(system.name, store, runs, points);
    return [
      await attempt(label, cases.many, () =>
        withServer(system, store, 'many', runs, async (url, began) =>
          withPage(browser, async (page) => {
            await page.goto(url + system.many(said), { waitUntil: 'commit' });
            await page.getByText(NAME).first().waitFor({ timeout: WAIT_MS });
            await painted(page);
            const took = performance.now() - began;
            const names = new Set((await page.getByText(NAME).allTextContents()).map((name) => name.trim()));
            return { took, note: `${names.size} of ${runs} runs on the page` };
          }),
        ),
      ),
      await attempt(label, cases.long, () =>
        withServer(system, store, 'long', points, async (url) =>
          withPage(browser, async (page) => {
            const spikes = new Set<number>();
            const read: Promise<void>[] = [];
            const note = async (response: Response): Promise<void> => {
              const body = await response.body().catch(() => Buffer.alloc(0));
              for (const spike of spikesIn(body)) spikes.add(spike);
            };
            page.on('response', (response) => {
              if (response.url().includes(system.points)) read.push(note(response));
            });
            const answered = page.waitForResponse((response) => response.url().includes(system.points), {
              timeout: WAIT_MS,
            });
            const asked = performance.now();
            const [response] = await Promise.all([
              answered,
              page.goto(url + system.long(said), { waitUntil: 'commit' }),
            ]);
            await response.finished();
            await painted(page);
            const took = performance.now() - asked;
            await Promise.all(read);
            return { took, note: `extremes kept: ${spikes.size} of ${SPIKES}, in what the page received` };
          }),
        ),
      ),
    ];
  } catch (error) {
    return absentRows(label, Object.values(cases), [FIGURE], failure(error));
  } finally {
    rmSync(store, { recursive: true, force: true });
  }
}

/** One case of a peer; one that fails says why, and leaves the other as it is. */
async function attempt(
  system: string,
  name: string,
  once: () => Promise<{ took: number; note: string }>,
): Promise<Row> {
  const times: number[] = [];
  let note = '';
  try {
    for (let round = 0; round < repeatsFor(false).repeats; round++) {
      const result = await once();
      times.push(result.took);
      ({ note } = result);
    }
  } catch (error) {
    return absentRows(system, [name], [FIGURE], failure(error))[0]!;
  }
  return medianRow(times, { system, case: name, figure: FIGURE, note });
}

function failure(error: unknown): string {
  return `did not work here: ${String(error).split('\n')[0]}`;
}

/** Starts a peer's server, waits until it is ready, and ends it after use. */
async function withServer<T>(
  system: System,
  store: string,
  part: Part,
  size: number,
  then: (url: string, began: number) => Promise<T>,
): Promise<T> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const began = performance.now();
  const server = launch(system.program, system.args(store, port, part), system.env(store, port));
  try {
    await answers(url + system.health(part), (body) => system.ready(body, part, size));
    return await then(url, began);
  } finally {
    await end(server);
  }
}

async function measureFieldbook(
  browser: Browser,
  runs: number,
  points: number,
  cases: Cases,
  smoke: boolean,
): Promise<Row[]> {
  const store = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
  const program = join(ROOT, 'packages/node-agent/bin/fieldbook.mjs');
  const token = (): string => readFileSync(join(store, 'agent.token'), 'utf8').trim();
  const start = (port: number): ChildProcess =>
    launch(process.execPath, [program, 'up', '--foreground', '--port', String(port)], { FIELDBOOK_HOME: store });
  try {
    const { run } = fillStore('fieldbook', store, runs, points);
    // The agent takes the journals in once; the peers' stores are likewise filled before the clock runs.
    const first = await freePort();
    const intake = start(first);
    await answers(
      `http://127.0.0.1:${first}/api/v1/projects`,
      (body) => {
        const { projects } = JSON.parse(body) as { projects: { id: string; runs: number; running?: number }[] };
        return (
          (projects.find(({ id }) => id === 'many')?.runs ?? 0) >= runs && projects.some(({ id }) => id === 'long')
        );
      },
      token,
    );
    await answers(
      `http://127.0.0.1:${first}/api/v1/runs/${run}`,
      (body) => (JSON.parse(body) as { status: string }).status === 'finished',
      token,
    );
    await end(intake);
    const many: number[] = [];
    const long: number[] = [];
    let kept = 0;
    let listed = '';
    for (let round = 0; round < repeatsFor(smoke).repeats; round++) {
      const port = await freePort();
      const began = performance.now();
      const agent = start(port);
      try {
        await answers(`http://127.0.0.1:${port}/api/v1/projects`, () => true, token);
        await withPage(browser, async (page) => {
          await page.goto(`http://127.0.0.1:${port}/p/many`, { waitUntil: 'commit' });
          await page.getByText(NAME).first().waitFor({ timeout: WAIT_MS });
          await painted(page);
          many.push(performance.now() - began);
          const grid = page.locator('[role=grid], [role=treegrid]');
          await page.waitForFunction(
            (count) =>
              document.querySelector('[role=grid], [role=treegrid]')?.getAttribute('aria-rowcount') ===
              String(count + 1),
            runs,
          );
          listed = `${Number(await grid.getAttribute('aria-rowcount')) - 1} of ${runs} runs in the table`;
        });
        const result = await withPage(browser, async (page) => {
          const asked = performance.now();
          await page.goto(`http://127.0.0.1:${port}/r/${run}?tab=charts`, { waitUntil: 'commit' });
          await page.locator('section.panel[data-drawn="true"]').first().waitFor({ timeout: WAIT_MS });
          await painted(page);
          return { took: performance.now() - asked, kept: await columnsOfSpikes(page) };
        });
        long.push(result.took);
        kept = result.kept;
      } finally {
        await end(agent);
      }
    }
    return [
      medianRow(many, { system: 'fieldbook', case: cases.many, figure: FIGURE, note: listed }),
      medianRow(long, {
        system: 'fieldbook',
        case: cases.long,
        figure: FIGURE,
        note: `extremes kept: ${kept} of ${SPIKES}, in pixels`,
      }),
    ];
  } finally {
    rmSync(store, { recursive: true, force: true });
  }
}

/**
 * How many separate strokes cross the first chart at a third of its height, where nothing but spikes reaches: in the
 * canvas that has the lines and nothing else, over that of axes and grid.
 */
function columnsOfSpikes(page: Page): Promise<number> {
  return page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('section.panel canvas[data-lines=all]')!;
    const row = Math.round(canvas.height * 0.35);
    const { data } = canvas.getContext('2d')!.getImageData(0, row, canvas.width, 1);
    const inked = Array.from({ length: canvas.width }, (_, x) => data[x * 4 + 3]! > 60);
    return inked.filter((ink, x) => ink && !inked[x - 1]).length;
  });
}

/** Numbers of the spikes that an answer contains, as text or as little-endian floats of either width. */
export function spikesIn(body: Buffer): number[] {
  // As whole numbers only: the end of a time in seconds may read like a spike.
  const written = new Set(body.toString('latin1').match(/(?<![\d.])5\d{3}\.\d{3}(?!\d)/g));
  return Array.from({ length: SPIKES }, (_, k) => k).filter((k) => {
    const value = 5000.125 + k * 1.25;
    const double = Buffer.alloc(8);
    double.writeDoubleLE(value);
    const single = Buffer.alloc(4);
    single.writeFloatLE(value);
    return written.has(String(value)) || body.includes(double) || body.includes(single);
  });
}

function fillStore(system: string, store: string, runs: number, points: number): Said {
  const python = existsSync(join(BIN, 'python')) ? join(BIN, 'python') : 'python3';
  const { status, stdout, stderr } = spawnSync(
    python,
    [join(ROOT, 'bench/web-peers.py'), system, store, String(runs), String(points)],
    { encoding: 'utf8', timeout: FILL_MS, maxBuffer: 1 << 28 },
  );
  if (status !== 0) throw new Error(`the store was not filled: ${stderr.trimEnd().split('\n').at(-1) ?? ''}`);
  const line = stdout
    .trimEnd()
    .split('\n')
    .findLast((each) => each.startsWith('{'));
  return line === undefined ? {} : (JSON.parse(line) as Said);
}

function versionOf(name: string): string {
  const code = `import importlib.metadata as m; print(m.version(${JSON.stringify(name)}))`;
  return spawnSync(join(BIN, 'python'), ['-c', code], { encoding: 'utf8' }).stdout.trim();
}

function launch(program: string, args: readonly string[], env: Record<string, string>): ChildProcess {
  return spawn(program, args, { env: { ...process.env, ...env }, stdio: 'ignore', detached: true });
}

/** Ends a server with all the processes that it started. */
async function end(server: ChildProcess): Promise<void> {
  const closed = new Promise((resolve) => server.once('close', resolve));
  if (server.exitCode !== null) return;
  try {
    process.kill(-server.pid!, 'SIGKILL');
  } catch {
    return;
  }
  await closed;
}

async function answers(url: string, ready: (body: string) => boolean, token?: () => string): Promise<void> {
  const until = performance.now() + WAIT_MS;
  for (;;) {
    try {
      const response = await fetch(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token()}` } });
      const body = await response.text();
      if (response.ok && ready(body)) return;
    } catch {
      // Not yet.
    }
    if (performance.now() > until) throw new Error(`${url} did not answer in time`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function withPage<T>(browser: Browser, then: (page: Page) => Promise<T>): Promise<T> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US' });
  try {
    return await then(await context.newPage());
  } finally {
    await context.close();
  }
}

/** The frame after the next one has been painted. */
function painted(page: Page): Promise<void> {
  return page.evaluate(
    () => new Promise<void>((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve()))),
  );
}
