import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { absentRows, medianRow, peersPython, pythonPackages, repeatsFor, ROOT } from './harness.ts';
import type { Bench, Durability, Row } from './harness.ts';

const CASES = ['1 key', '10 keys', '100 keys'];
const FIGURES = ['p50_us', 'p95_us', 'p99_us'];

/** A system as bench/log-latency.py knows it, and as the rows name it. */
interface System {
  readonly script: string;
  readonly name: string;
  readonly durability: Durability;
  readonly note?: string;
}

const OURS: readonly System[] = [
  { script: 'floor', name: 'floor: write(2)', durability: 'page cache' },
  { script: 'fieldbook', name: 'fieldbook', durability: 'page cache' },
];

const PEERS: readonly (Omit<System, 'name'> & { readonly package: string; readonly suffix: string })[] = [
  { script: 'wandb', package: 'wandb', suffix: ' offline', durability: 'other process' },
  { script: 'tensorboardX', package: 'tensorboardX', suffix: '', durability: 'none', note: 'flushed by a thread' },
  { script: 'mlflow', package: 'mlflow-skinny', suffix: ' files', durability: 'page cache' },
];

type Measured = Record<string, Record<string, number>>;

/** How long a training waits for one call, beside what the machine needs to write as many bytes. */
const bench: Bench = {
  name: 'log-latency',
  about: 'How long run.log takes with 1, 10 and 100 keys, beside a bare write(2) and other trackers.',
  async run({ smoke }): Promise<Row[]> {
    const python = peersPython() ?? 'python3';
    const installed =
      peersPython() === null
        ? new Map<string, string>()
        : pythonPackages(
            python,
            PEERS.map((peer) => peer.package),
          );
    const rows: Row[] = [];
    const systems = [...OURS];
    for (const { package: name, suffix, ...peer } of PEERS) {
      const version = installed.get(name);
      if (version === undefined) rows.push(...absentRows(`${name}${suffix}`, CASES, FIGURES));
      else systems.push({ ...peer, name: `${name} ${version}${suffix}` });
    }

    const results = new Map<System, Measured[]>(systems.map((system) => [system, []]));
    const failures = new Map<System, string>();
    const { repeats, warmUp } = repeatsFor(smoke);
    for (let round = -warmUp; round < repeats; round++) {
      for (let turn = 0; turn < systems.length; turn++) {
        const system = systems[(turn + round + warmUp) % systems.length]!;
        if (failures.has(system)) continue;
        try {
          const measured = await measure(python, system.script, smoke ? 200 : 1);
          if (round >= 0) results.get(system)!.push(measured);
        } catch (error) {
          // A peer that does not run here is a row that says so; our own failure is the benchmark's.
          if (OURS.includes(system)) throw error;
          failures.set(system, `does not run here: ${String(error).split('\n').at(-1)}`.slice(0, 200));
        }
      }
    }

    for (const [system, measured] of results) {
      const { name, durability, note } = system;
      const failure = failures.get(system);
      if (failure !== undefined) {
        rows.push(...absentRows(name, CASES, FIGURES, failure));
        continue;
      }
      for (const which of CASES) {
        for (const figure of Object.keys(measured[0]![which]!)) {
          const values = measured.map((one) => one[which]![figure]!);
          rows.push(medianRow(values, { system: name, case: which, figure, durability, ...(note ? { note } : {}) }));
        }
      }
    }
    return rows;
  },
};

async function measure(python: string, system: string, scale: number): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
  try {
    const script = join(ROOT, 'bench/log-latency.py');
    const { stdout } = await promisify(execFile)(python, ['-B', script, system, folder, String(scale)], {
      timeout: 5 * 60_000,
      maxBuffer: 1 << 24,
      // Nothing of the developer's own runs or settings takes part.
      env: { PATH: process.env['PATH'], HOME: folder, TMPDIR: folder },
    });
    return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as Measured;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export default bench;
