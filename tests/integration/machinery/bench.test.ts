import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../../.ci/lib/paths.mjs';
import {
  absentRows,
  fitExponent,
  interleave,
  medianOf,
  medianRow,
  percentileOf,
  pythonPackages,
  repeatsFor,
  row,
} from '../../../bench/harness.ts';
import { short, table } from '../../../bench/table.mjs';

describe('a row', () => {
  const good = { system: 'fieldbook', case: '1 key', figure: 'p50_us', value: 3.1 };

  it.each([
    'p50_us',
    'start_ms',
    'total_s',
    'size_bytes',
    'heap_mb',
    'points_per_s',
    'mb_per_s',
    'size_bytes_per_point',
    'exponent',
    'dropped_frames',
    'ratio',
  ])('may have the figure %s', (figure) => {
    expect(row({ ...good, figure })).toEqual({ ...good, figure });
  });

  it.each(['p50', 'us_p50', 'latency', 'P50_us', 'p50-us', 'p50_minutes', 'plus', ''])(
    'is refused with the figure "%s"',
    (figure) => {
      expect(() => row({ ...good, figure })).toThrow(TypeError);
    },
  );

  it('says why a value is missing', () => {
    expect(() => row({ ...good, value: null })).toThrow(/note/);
    expect(row({ ...good, value: null, note: 'not installed' })).toHaveProperty('value', null);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('is refused with the value %s', (value) => {
    expect(() => row({ ...good, value })).toThrow(/finite/);
    expect(() => row({ ...good, spread: [0, value] })).toThrow(/finite/);
  });

  it('of repeats is their median with the spread', () => {
    const { value: _, ...fields } = good;
    expect(medianRow([5, 1, 3], fields)).toEqual({ ...fields, value: 3, spread: [1, 5], repeats: 3 });
  });

  it('of an absent peer is there all the same', () => {
    expect(absentRows('wandb', ['1 key', '10 keys'], ['p50_us', 'p99_us'])).toHaveLength(4);
    expect(absentRows('wandb', ['1 key'], ['p50_us'])[0]).toMatchObject({ value: null, note: 'not installed' });
  });
});

describe('percentiles', () => {
  it('are linear between neighbours, and the values are not reordered', () => {
    const values = [4, 1, 3, 2];
    expect(medianOf(values)).toBe(2.5);
    expect(medianOf([10, 9, 100])).toBe(10);
    expect([percentileOf(values, 0), percentileOf(values, 100)]).toEqual([1, 4]);
    expect(percentileOf([0, 10], 95)).toBeCloseTo(9.5);
    expect(values).toEqual([4, 1, 3, 2]);
  });

  it('of nothing, or out of range, are refused', () => {
    expect(() => medianOf([])).toThrow(RangeError);
    expect(() => percentileOf([1], 101)).toThrow(RangeError);
    expect(() => percentileOf([1], Number.NaN)).toThrow(RangeError);
  });
});

describe('an exponent', () => {
  it.each([0, 0.5, 1, 2])('is found: %s', (exponent) => {
    expect(fitExponent([10, 100, 1000].map((size) => [size, 7 * size ** exponent]))).toBeCloseTo(exponent, 10);
  });

  it('is fitted by least squares on the logarithms', () => {
    // log2: (0, 0), (1, 2), (2, 1) has the slope 1/2.
    expect(
      fitExponent([
        [1, 1],
        [2, 4],
        [4, 2],
      ]),
    ).toBeCloseTo(0.5, 10);
  });

  it('takes two sizes, and costs above zero', () => {
    expect(() => fitExponent([[1, 1]])).toThrow(RangeError);
    expect(() =>
      fitExponent([
        [2, 1],
        [2, 3],
      ]),
    ).toThrow(RangeError);
    expect(() =>
      fitExponent([
        [1, 0],
        [2, 3],
      ]),
    ).toThrow(RangeError);
  });
});

describe('interleaved measurements', () => {
  it('take turns, with another one first each round, and drop the warm-up', async () => {
    const order: string[] = [];
    let time = 0;
    const measure = (name: string) => () => {
      order.push(name);
      return time++;
    };
    const results = await interleave({ a: measure('a'), b: measure('b'), c: measure('c') }, { repeats: 2, warmUp: 1 });
    expect(order.join('')).toBe('abcbcacab');
    expect(results).toEqual({ a: [5, 7], b: [3, 8], c: [4, 6] });
  });

  it('are repeated at least five times, except in a smoke run', () => {
    expect(repeatsFor(false, 3)).toEqual({ repeats: 5, warmUp: 1 });
    expect(repeatsFor(false, 9).repeats).toBe(9);
    expect(repeatsFor(true).repeats).toBe(1);
  });
});

describe('the table', () => {
  it('shows a missing value and leaves out columns that nobody fills', () => {
    const lines = table([
      row({ system: 'fieldbook', case: '1 key', figure: 'p50_us', value: 3.14159 }),
      row({ system: 'wandb', case: '1 key', figure: 'p50_us', value: null, note: 'not installed' }),
    ]).split('\n');
    expect(lines).toEqual([
      'system     case   figure  value  note',
      '─────────  ─────  ──────  ─────  ─────────────',
      'fieldbook  1 key  p50_us   3.14',
      'wandb      1 key  p50_us      –  not installed',
    ]);
  });

  it('shortens numbers without losing whole digits', () => {
    expect([0.0012345, 1.005, 99.96, 1234.5, 500000].map(short)).toEqual(['0.00123', '1', '100', '1,235', '500,000']);
  });
});

describe('the runner', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(ROOT, 'bench/run.mjs'), ...args], { encoding: 'utf8', timeout: 60_000 });

  it('lists the benchmarks', () => {
    expect(run().stdout).toMatch(/^floor +What the machine can do/m);
  });

  it('ends with one JSON object on one line with --json', () => {
    const { stdout, status } = run('floor', '--smoke', '--json');
    expect(status).toBe(0);
    const result = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
    expect(result).toMatchObject({
      bench: 'floor',
      machine: { cores: expect.any(Number) as number, node: process.versions.node },
      rows: expect.arrayContaining([
        expect.objectContaining({ system: 'floor: write(2)', figure: 'p50_us', durability: 'page cache' }),
      ]) as unknown[],
    });
  });

  it('refuses names that are none', () => {
    expect(run('no-such-bench')).toMatchObject({ status: 2, stderr: expect.stringContaining('floor') as string });
  });
});

describe('packages of a Python', () => {
  it('are told with their versions, if they are there', () => {
    expect([...pythonPackages('python3', ['no-such-package-at-all']).keys()]).toEqual([]);
    expect(pythonPackages('/no/such/python', ['pip']).size).toBe(0);
  });
});
