import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { interleave, medianRow, percentileOf, repeatsFor } from './harness.ts';
import type { Bench, Row } from './harness.ts';

const BYTES = 64;

/** What this machine can do at best: the figures beside which all others are read. */
const bench: Bench = {
  name: 'floor',
  about: 'What the machine can do at best: write(2) and fdatasync of 64 bytes, and copying memory.',
  async run({ smoke }): Promise<Row[]> {
    const folder = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
    const file = openSync(join(folder, 'log'), 'a');
    const record = new Uint8Array(BYTES).fill(1);
    const from = new Uint8Array(smoke ? 1e5 : 6.4e7).fill(1);
    const to = new Uint8Array(from.length);

    /** p50 of one call, in µs. */
    const call = (times: number, work: () => void): number => {
      const durations = new Float64Array(times);
      for (let n = 0; n < times; n++) {
        const began = performance.now();
        work();
        durations[n] = performance.now() - began;
      }
      return percentileOf(durations, 50) * 1000;
    };
    const write = () => void writeSync(file, record);
    try {
      const measured = await interleave(
        {
          write: () => call(smoke ? 10 : 20_000, write),
          sync: () =>
            call(smoke ? 3 : 200, () => {
              write();
              fdatasyncSync(file);
            }),
          copy: () => call(smoke ? 1 : 10, () => to.set(from)),
        },
        repeatsFor(smoke),
      );
      const perSecond = measured.copy.map((us) => from.length / us);
      return [
        medianRow(measured.write, {
          system: 'floor: write(2)',
          case: `${BYTES} bytes from Node`,
          figure: 'p50_us',
          durability: 'page cache',
        }),
        medianRow(measured.sync, {
          system: 'floor: write(2) + fdatasync',
          case: `${BYTES} bytes from Node`,
          figure: 'p50_us',
          durability: 'fsync',
        }),
        medianRow(perSecond, { system: 'floor: memory copy', case: `${from.length} bytes`, figure: 'mb_per_s' }),
      ];
    } finally {
      closeSync(file);
      rmSync(folder, { recursive: true });
    }
  },
};
export default bench;
