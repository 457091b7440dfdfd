import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { RunId, WriterId } from '@fieldbook/core';
import { JournalWriter } from '@fieldbook/core/journal';
import { PointBuffer, sealSegment } from '@fieldbook/core/series';
import { pageCompressor } from '../packages/node-agent/src/machine/ports.ts';
import type { Curve } from './curves.ts';
import { CURVES, makeCurve } from './curves.ts';
import { absentRows, medianRow, peersPython, pythonPackages, repeatsFor, ROOT } from './harness.ts';
import type { Bench, Row } from './harness.ts';

const FIGURE = 'stored_bytes_per_point';
const WRITER = '01kf0000000000000000000001' as WriterId;
const CASES = Object.keys(CURVES) as Curve[];

/**
 * Peers as bench/log-latency.py knows them. `calls` is how many points are logged: what is slow is asked less. Once per
 * case: sizes do not depend on what else the machine does, and their programs take seconds to start.
 */
const PEERS = [
  { script: 'wandb', package: 'wandb', suffix: ' offline', calls: 10_000 },
  { script: 'tensorboardX', package: 'tensorboardX', suffix: '', calls: 10_000 },
  { script: 'mlflow', package: 'mlflow-skinny', suffix: ' files', calls: 1_000 },
  { script: 'mlflow_sqlite', package: 'mlflow-skinny', suffix: ' sqlite', calls: 500, also: 'sqlalchemy' },
  { script: 'trackio', package: 'trackio', suffix: '', calls: 2_000 },
  { script: 'aim', package: 'aim', suffix: '', calls: 2_000 },
  { script: 'neptune', package: 'neptune', suffix: ' offline', calls: 2_000 },
] as const;

/** What one point of one series costs on disk, with its step and time, and the same of other trackers. */
const bench: Bench = {
  name: 'storage',
  about: 'Bytes on disk per point with step and time: a float32 loss, a 4-decimal accuracy and a full double.',
  async run({ smoke }): Promise<Row[]> {
    const points = smoke ? 20_000 : 1_000_000;
    const { repeats } = repeatsFor(smoke);
    const figures = new Map<string, number[]>();
    const note = (system: string, name: Curve, figure: string, value: number): void => {
      const key = JSON.stringify([system, name, figure]);
      figures.set(key, [...(figures.get(key) ?? []), value]);
    };
    for (let round = 0; round < repeats; round++) {
      for (const name of CASES) {
        const measured = await measure(name, points, round + 1);
        for (const [system, figure, value] of measured) note(system, name, figure, value);
      }
    }
    const rows = [...figures].map(([key, values]) => {
      const [system, name, figure] = JSON.parse(key) as [string, Curve, string];
      return medianRow(values, { system, case: name, figure, ...notes(system, figure, points) });
    });
    return [...rows, ...(await peers(smoke))];
  },
};

function notes(system: string, figure: string, points: number): { note?: string } {
  if (system.startsWith('floor')) return { note: 'values alone, no step, no time' };
  if (figure !== FIGURE) return {};
  if (system.endsWith('journal')) return { note: 'one metric a record, until the agent has sealed it' };
  return { note: `${points} points with step, time and ordinal, coarse levels included` };
}

/** A run's series sealed in pieces of half a million, as an agent takes in a backlog. */
async function measure(
  name: Curve,
  points: number,
  seed: number,
): Promise<[system: string, figure: string, value: number][]> {
  const { values, times } = makeCurve(name, points, seed);
  let bytes = 0;
  let levels = 0;
  const piece = Math.min(points, 500_000);
  for (let first = 0; first < points; first += piece) {
    const buffer = new PointBuffer(piece);
    for (let step = first; step < first + piece; step++) buffer.push(0, step, values[step]!, times[step]!, step + 2);
    const header = { run: 'run-1' as RunId, writer: WRITER, first: first + 2, last: first + piece + 1 };
    const options = { compressor: pageCompressor, effort: 'fast' } as const;
    const sealed = await sealSegment(header, buffer.from(0), ['train/loss'], options);
    bytes += sealed.bytes.length;
    levels += sealed.levelBytes;
  }
  const journal = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16) });
  journal.declare([[0, 'train/loss']]);
  const sample = Math.min(points, 10_000);
  for (let step = 0; step < sample; step++) journal.scalars(times[step]!, step, [0], [values[step]!]);
  const floats = name === 'float32 loss' ? Float32Array.from(values) : values;
  return [
    ['fieldbook', FIGURE, bytes / points],
    ['fieldbook', 'levels_bytes_per_point', levels / points],
    ['fieldbook journal', FIGURE, journal.length / sample],
    ['floor: split and deflated', FIGURE, splitAndDeflated(floats) / points],
  ];
}

/** The bytes of a column, all first ones, then all second ones, …, as small as zlib makes them. */
function splitAndDeflated(column: Float64Array | Float32Array): number {
  const bytes = new Uint8Array(column.buffer);
  const width = column.BYTES_PER_ELEMENT;
  let size = 0;
  for (let byte = 0; byte < width; byte++)
    size += gzipSync(
      Uint8Array.from({ length: column.length }, (_, index) => bytes[index * width + byte]!),
      { level: 6 },
    ).length;
  return size;
}

async function peers(smoke: boolean): Promise<Row[]> {
  const python = peersPython();
  const names = PEERS.flatMap((peer) => [peer.package, ...('also' in peer ? [peer.also] : [])]);
  const installed = python === null ? new Map<string, string>() : pythonPackages(python, names);
  const rows = await inTwos(PEERS, async (peer): Promise<Row[]> => {
    const version = installed.get(peer.package);
    if (python === null || version === undefined || ('also' in peer && !installed.has(peer.also))) {
      return absentRows(`${peer.package}${peer.suffix}`, CASES, [FIGURE]);
    }
    const system = `${peer.package} ${version}${peer.suffix}`;
    const calls = smoke ? 20 : peer.calls;
    // A smoke run only shows that the peer's script still runs.
    const cases = smoke ? CASES.slice(0, 1) : CASES;
    const found = absentRows(system, CASES.slice(cases.length), [FIGURE], 'not part of a smoke run');
    try {
      const empty = await bytesLeft(python, peer.script, new Float64Array(1));
      for (const name of cases) {
        const bytes = await bytesLeft(python, peer.script, makeCurve(name, calls, 1).values);
        const note = `${calls} points, one run, what a run of one point leaves taken off`;
        found.push(medianRow([(bytes - empty) / (calls - 1)], { system, case: name, figure: FIGURE, note }));
      }
      return found;
    } catch (error) {
      const reason = `does not run here: ${String(error).trimEnd().split('\n').at(-1)}`.slice(0, 200);
      return absentRows(system, CASES, [FIGURE], reason);
    }
  });
  return rows.flat();
}

/** Two at a time: it is sizes that are measured, not times. */
async function inTwos<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of waiting) results[index] = await work(item);
  };
  await Promise.all([worker(), worker()]);
  return results;
}

/** Bytes on disk after a run in which these values were logged. */
async function bytesLeft(python: string, script: string, values: Float64Array): Promise<number> {
  const root = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
  try {
    const path = join(root, 'values');
    writeFileSync(path, new Uint8Array(values.buffer));
    const folder = join(root, 'home');
    mkdirSync(folder);
    const given = [join(ROOT, 'bench/storage.py'), script, folder, path, String(values.length)];
    await promisify(execFile)(python, ['-B', ...given], {
      timeout: 2 * 60_000,
      maxBuffer: 1 << 24,
      // Nothing of the developer's own runs or settings takes part.
      env: { PATH: process.env['PATH'], HOME: folder, TMPDIR: folder },
    });
    return sizeOf(folder);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function sizeOf(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  return bytes;
}

export default bench;
