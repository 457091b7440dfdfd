import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';

/**
 * What every benchmark is made of. The contract (which rows, which figures, which floors) is in bench/README.md.
 *
 * A benchmark is a file `bench/<name>.bench.ts` (or `.mjs`) whose default export is a `Bench`; `npm run bench -- <name>`
 * bundles it, gives it a process of its own with `--expose-gc`, and prints and keeps the rows that it returns.
 */
export interface Bench {
  readonly name: string;
  /** One sentence: what is measured. */
  readonly about: string;
  /** What has to be built before: names of targets of `npm run build`. */
  readonly needs?: readonly string[];
  run(options: BenchOptions): Promise<readonly Row[]>;
}

export interface BenchOptions {
  /** Tiny sizes, once: only to show that the benchmark still runs. */
  readonly smoke: boolean;
  readonly machine: Machine;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_mb: number;
  readonly node: string;
  readonly python: string | null;
  readonly os: string;
}

/** What a write figure survives. */
export type Durability = 'none' | 'page cache' | 'other process' | 'fsync';

export interface Row {
  /** `fieldbook`, a peer with its version, or `floor: …`. */
  readonly system: string;
  readonly case: string;
  /** Ends in its unit, see `UNITS`. */
  readonly figure: string;
  /** Null with a note when it could not be measured: a peer that is not installed is not left out. */
  readonly value: number | null;
  /** Smallest and largest of the repeats of which `value` is the median. */
  readonly spread?: readonly [number, number];
  readonly repeats?: number;
  readonly durability?: Durability;
  readonly note?: string;
}

/** The units that a figure's name may end in. */
export const UNITS = [
  'us',
  'ms',
  's',
  'bytes',
  'mb',
  'per_s',
  'bytes_per_point',
  'exponent',
  'frames',
  'ratio',
] as const;

const FIGURE = new RegExp(`^(?:[a-z0-9]+_)*(?:${UNITS.join('|')})$`);

/** Benchmarks run in the root folder of the repository, so that a bundled one finds the files beside its source. */
export const ROOT = process.cwd();

/** @throws {TypeError} on a row that breaks the contract: it would be compared with others for years */
export function row(fields: Row): Row {
  const { system, case: name, figure, value, note, spread } = fields;
  const where = `${system} / ${name} / ${figure}`;
  if (system === '' || name === '') throw new TypeError(`A row names its system and its case: ${where}`);
  if (!FIGURE.test(figure)) throw new TypeError(`A figure ends in its unit (${UNITS.join(', ')}): ${where}`);
  if (value === null && !note) throw new TypeError(`A missing value has a note that says why: ${where}`);
  for (const number of [value ?? 0, ...(spread ?? [])]) {
    if (!Number.isFinite(number)) throw new TypeError(`A value is a finite number or null: ${where} is ${number}`);
  }
  return fields;
}

/** The row of a figure that was measured several times: their median, with the smallest and the largest. */
export function medianRow(values: readonly number[], fields: Omit<Row, 'value' | 'spread' | 'repeats'>): Row {
  const spread: readonly [number, number] = [Math.min(...values), Math.max(...values)];
  return row({ ...fields, value: medianOf(values), spread, repeats: values.length });
}

/** The rows of a system that is not there: one for each figure that it would have had. */
export function absentRows(
  system: string,
  cases: readonly string[],
  figures: readonly string[],
  note = 'not installed',
): Row[] {
  return cases.flatMap((name) => figures.map((figure) => row({ system, case: name, figure, value: null, note })));
}

/** @throws {RangeError} on no values, of which there is no median */
export function medianOf(values: readonly number[]): number {
  return percentileOf(values, 50);
}

/**
 * The value below which `percent` of `values` lie, linear between neighbours (as numpy's default).
 *
 * @throws {RangeError} on no values or a percentage out of range
 */
export function percentileOf(values: ArrayLike<number>, percent: number): number {
  if (values.length === 0) throw new RangeError('There is no percentile of nothing.');
  if (!(percent >= 0 && percent <= 100)) throw new RangeError(`A percentage is from 0 to 100, not ${percent}.`);
  const sorted = Float64Array.from(values).sort();
  const at = ((sorted.length - 1) * percent) / 100;
  const below = sorted[Math.floor(at)]!;
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at));
}

/**
 * Runs every measurement once per round and not one after the other, so that a machine that becomes slow becomes slow
 * for all. The order turns by one each round, so nobody always comes after the same neighbour. `warmUp` rounds are
 * thrown away.
 *
 * @returns the results of each measurement, a value per round
 */
export async function interleave<Name extends string>(
  measurements: Readonly<Record<Name, () => number | Promise<number>>>,
  { repeats, warmUp = 1 }: { readonly repeats: number; readonly warmUp?: number },
): Promise<Record<Name, number[]>> {
  const names = Object.keys(measurements) as Name[];
  const results = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = -warmUp; round < repeats; round++) {
    for (let n = 0; n < names.length; n++) {
      const name = names[(n + round + warmUp) % names.length]!;
      collectGarbage();
      const value = await measurements[name]();
      if (round >= 0) results[name].push(value);
    }
  }
  return results;
}

/** Rounds of `interleave`: the contract asks for at least five. */
export function repeatsFor(smoke: boolean, repeats = 5): { readonly repeats: number; readonly warmUp: number } {
  return smoke ? { repeats: 1, warmUp: 0 } : { repeats: Math.max(5, repeats), warmUp: 1 };
}

/** Milliseconds that `work` takes. */
export async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/**
 * How cost grows with size: the b of cost = a · size^b, by least squares on the logarithms. 1 is linear.
 *
 * @throws {RangeError} unless there are two sizes, and all numbers are above zero
 */
export function fitExponent(points: readonly (readonly [size: number, cost: number])[]): number {
  if (new Set(points.map(([size]) => size)).size < 2) throw new RangeError('An exponent takes two sizes or more.');
  if (points.some(([size, cost]) => !(size > 0 && cost > 0))) throw new RangeError('Sizes and costs are above zero.');
  const logs = points.map(([size, cost]) => [Math.log(size), Math.log(cost)] as const);
  const meanX = logs.reduce((sum, [x]) => sum + x, 0) / logs.length;
  const meanY = logs.reduce((sum, [, y]) => sum + y, 0) / logs.length;
  const slope = logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return slope / logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

/** Collects garbage now, where the process allows it (the runner's does). */
export function collectGarbage(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

export function describeMachine(): Machine {
  const python = spawnSync('python3', ['-c', 'import platform; print(platform.python_version())'], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  return {
    cpu: cpus()[0]?.model.trim() || 'unknown',
    cores: cpus().length,
    memory_mb: Math.round(totalmem() / 1e6),
    node: process.versions.node,
    python: python.status === 0 ? python.stdout.trim() : null,
    os: `${type()} ${release()}`,
  };
}

/** The Python in which `npm run bench:peers` has put the peers, or null before that. */
export function peersPython(): string | null {
  const path = join(ROOT, 'bench/.venv', process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  return existsSync(path) ? path : null;
}

/** The versions of Python packages that `python` can import, by name; those that it cannot are absent. */
export function pythonPackages(python: string, names: readonly string[]): Map<string, string> {
  const script = `
import importlib.metadata, sys
for name in sys.argv[1:]:
    try: print(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError: pass`;
  const asked = spawnSync(python, ['-c', script, ...names], { encoding: 'utf8', timeout: 30_000 });
  const lines = asked.status === 0 ? asked.stdout.trim().split('\n') : [];
  return new Map(lines.filter((line) => line !== '').map((line) => line.split(' ') as [string, string]));
}
