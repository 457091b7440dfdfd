import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LONG } from '../scaffold/mode.ts';

/** What one size cost, as ingest/scale-child.mjs prints it. */
interface Cost {
  points: number;
  /** The different numbers of points that the series looked at had. */
  totals: number[];
  /** Of the first 20 runs. */
  segments: number;
  readMs: number;
  peakMb: number;
  heapMb: number;
  readerMb: number;
  problems: number;
  storeBytes: number;
  batches: number;
  blobBytes: number;
  blobs: number;
}

interface Size {
  runs: number;
  metrics: number;
  rounds: number;
  /** Records of a writer a round. */
  records: number;
  /** ms of the agent's clock a round. */
  step?: number;
}

async function cost({ runs, metrics, rounds, records, step = 1_000 }: Size): Promise<Cost> {
  const home = mkdtempSync(join(tmpdir(), 'fieldbook-scale-'));
  try {
    const args = [runs, metrics, rounds, records, step].map(String);
    const child = spawn(process.execPath, [join(import.meta.dirname, 'ingest/scale-child.mjs'), home, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => (output += String(chunk)));
    child.stderr.on('data', (chunk: Buffer) => (errors += String(chunk)));
    const [code] = (await once(child, 'close')) as [number | null];
    expect([code, errors]).toEqual([0, '']);
    return JSON.parse(output) as Cost;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** The b of work = a · size^b over sizes that double or more. */
function exponent(sizes: readonly number[], work: readonly number[]): number {
  return Math.log(work.at(-1)! / work[0]!) / Math.log(sizes.at(-1)! / sizes[0]!);
}

describe('scale', () => {
  it('[ING-40] [SER-16] many points in one run: memory has a bound, and the work grows with the points', async () => {
    const sizes = LONG ? [10 ** 6, 10 ** 7, 10 ** 8] : [250_000, 500_000, 1_000_000];
    const costs: Cost[] = [];
    for (const points of sizes) {
      const records = LONG ? 500_000 : 25_000;
      costs.push(await cost({ runs: 1, metrics: 1, rounds: points / records, records, step: 60_000 }));
    }
    costs.forEach(({ totals, problems }, index) => expect([totals, problems]).toEqual([[sizes[index]], 0]));
    const last = costs.at(-1)!;
    // 192 MB of unsealed points, 60 MB of one merge, and what Node and LevelDB take: whatever the run's length.
    expect(last.peakMb).toBeLessThan(600);
    expect(last.blobBytes / last.points).toBeLessThan(12);
    expect(
      exponent(
        sizes,
        costs.map(({ blobBytes }) => blobBytes),
      ),
    ).toBeLessThan(1.3);
    expect(
      exponent(
        sizes,
        costs.map(({ storeBytes }) => storeBytes),
      ),
    ).toBeLessThan(1.3);
    expect(last.segments).toBeLessThan(last.points / 400_000 + 20);
  });

  it('[ING-40] many metrics in one run', async () => {
    const sizes = LONG ? [2_500, 5_000, 10_000] : [1_000, 2_000, 4_000];
    const costs: Cost[] = [];
    for (const metrics of sizes) costs.push(await cost({ runs: 1, metrics, rounds: LONG ? 120 : 40, records: 1 }));
    costs.forEach(({ totals, problems }) => expect([totals, problems]).toEqual([[LONG ? 120 : 40], 0]));
    expect(costs.at(-1)!.peakMb).toBeLessThan(500);
    // Written once when sealed and at most once or twice more when merged.
    for (const { blobBytes, points } of costs) expect(blobBytes / points).toBeLessThan(12);
    expect(
      exponent(
        sizes,
        costs.map(({ storeBytes }) => storeBytes),
      ),
    ).toBeLessThan(1.3);
  });

  it('[ING-40] many runs that write at once', async () => {
    const sizes = LONG ? [250, 500, 1_000] : [50, 100, 200];
    const costs: Cost[] = [];
    for (const runs of sizes) costs.push(await cost({ runs, metrics: 3, rounds: LONG ? 60 : 12, records: 5 }));
    costs.forEach(({ totals, problems }) => expect([totals, problems]).toEqual([[LONG ? 300 : 60], 0]));
    expect(costs.at(-1)!.peakMb).toBeLessThan(500);
    expect(
      exponent(
        sizes,
        costs.map(({ storeBytes }) => storeBytes),
      ),
    ).toBeLessThan(1.3);
    expect(
      exponent(
        sizes,
        costs.map(({ batches }) => batches),
      ),
    ).toBeLessThan(1.3);
  });
});
