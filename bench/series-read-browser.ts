import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { SegmentEntry } from '@fieldbook/core/record';
import { build } from 'vite';
import { launchChromium } from '../tests/scaffold/browser.ts';
import { absentRows, medianRow, repeatsFor, ROOT } from './harness.ts';
import type { Row } from './harness.ts';
import type { PageRequest, PageTimes } from './series-read-page.ts';

interface Stored {
  entries: SegmentEntry[];
  spikes: { step: number; value: number }[];
}

/** The same reader in Chromium, its blobs over HTTP by ranges: cold without anything cached, then warm. */
export async function measureInChromium(
  root: string,
  stored: readonly Stored[],
  counts: readonly number[],
  points: number,
  smoke: boolean,
): Promise<Row[]> {
  const system = 'fieldbook in Chromium';
  const name = (count: number, how: string): string => `${count} × ${points} points to 1000 buckets, ${how}`;
  const cases = counts.flatMap((count) => [name(count, 'cold'), name(count, 'warm')]);
  let browser: Awaited<ReturnType<typeof launchChromium>>;
  try {
    browser = await launchChromium();
  } catch (error) {
    return absentRows(system, cases, ['read_ms'], `Chromium does not start: ${String(error).split('\n')[0]}`);
  }
  const server = await serve(root, await pageScript());
  try {
    const { port } = server.address() as AddressInfo;
    const context = await browser.newContext({ locale: 'en-US' });
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.waitForFunction(() => 'readSeries' in globalThis);
    const { repeats, warmUp } = repeatsFor(smoke);
    const rows: Row[] = [];
    for (const count of counts) {
      const request: PageRequest = {
        series: stored.slice(0, count).map(({ entries, spikes }) => ({ entries, spikes })),
        metric: 'train/loss',
        maxPoints: 2_000,
        points,
      };
      const times: PageTimes[] = [];
      for (let round = -warmUp; round < repeats; round++) {
        // As text: the types of entries are too deep for evaluate's.
        const answer: string = await page.evaluate(async (asked: string) => {
          const { readSeries } = globalThis as unknown as { readSeries(r: unknown): Promise<unknown> };
          return JSON.stringify(await readSeries(JSON.parse(asked)));
        }, JSON.stringify(request));
        const took = JSON.parse(answer) as PageTimes;
        if (took.lost > 0) throw new Error(`${took.lost} points or spikes are not shown in Chromium`);
        if (round >= 0) times.push(took);
      }
      const { requests, bytes } = times[0]!;
      const cost = `${requests} requests, ${(bytes / 1e6).toFixed(1)} MB; every extreme kept, asserted`;
      const of = (part: 'cold' | 'warm' | 'scan'): number[] => times.map((time) => time[part]);
      const figure = 'read_ms';
      rows.push(
        medianRow(of('cold'), { system, case: name(count, 'cold'), figure, note: cost }),
        medianRow(of('warm'), { system, case: name(count, 'warm'), figure, note: 'every extreme kept, asserted' }),
        medianRow(of('scan'), {
          system: 'floor: scan of the columns in memory, in Chromium',
          case: `${count} × ${points} points to 1000 buckets`,
          figure,
        }),
      );
    }
    return rows;
  } finally {
    await browser.close();
    server.close();
    server.closeAllConnections();
  }
}

/** The reader as a browser gets it: bundled, minified, without anything of Node. */
async function pageScript(): Promise<string> {
  const conditions = ['source', 'module', 'browser', 'production'];
  const built = await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    resolve: { conditions },
    build: {
      write: false,
      target: 'es2022',
      copyPublicDir: false,
      rolldownOptions: {
        input: { page: join(ROOT, 'bench/series-read-page.ts') },
        output: { format: 'es', codeSplitting: false },
      },
    },
  });
  const [result] = [built].flat();
  const chunk = result !== undefined && 'output' in result ? result.output[0] : undefined;
  if (chunk?.type !== 'chunk') throw new Error('The page was not bundled.');
  return chunk.code;
}

async function serve(root: string, script: string): Promise<Server> {
  const held = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    const [, kind, digest = ''] = request.url!.split('/');
    if (kind !== 'blobs') {
      const isScript = kind === 'page.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      response.end(isScript ? script : '<!doctype html><script type="module" src="/page.js"></script>');
      return;
    }
    const bytes = held.get(digest) ?? readFileSync(join(root, 'sha256', digest.slice(0, 2), digest));
    held.set(digest, bytes);
    const [start, end] = /bytes=(\d+)-(\d+)/
      .exec(request.headers.range ?? '')!
      .slice(1)
      .map(Number) as [number, number];
    response.statusCode = 206;
    response.setHeader('content-range', `bytes ${start}-${end}/${bytes.length}`);
    response.end(bytes.subarray(start, end + 1));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
