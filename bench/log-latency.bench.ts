import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { absentRows, medianRow, peersPython, pythonPackages, repeatsFor, ROOT } from './harness.ts';
import type { Bench, Durability, Row } from './harness.ts';

/** The two modes of bench/log-latency.py and what each measures. */
const MODES = {
  calls: { cases: ['1 key', '10 keys', '100 keys'], figures: ['p50_us', 'p95_us', 'p99_us'] },
  loop: {
    cases: ['loop, 10 calls/s', 'loop, 100 calls/s', 'loop, 1000 calls/s'],
    figures: ['slowdown_ratio', 'usual_slowdown_ratio'],
  },
} as const;
type Mode = keyof typeof MODES;
/** Rounds in which peers take part; we and the floor take part in all. */
const PEER_ROUNDS: Record<Mode, number> = { calls: 2, loop: 1 };

/** A system as bench/log-latency.py knows it, and as the rows name it. */
interface System {
  readonly script: string;
  readonly name: string;
  readonly durability: Durability;
  readonly note?: string;
}

const OURS: readonly System[] = [
  { script: 'floor', name: 'floor: write(2)', durability: 'page cache' },
  { script: 'fieldbook', name: 'fieldbook', durability: 'page cache', note: 'everything captured, as is usual' },
  { script: 'fieldbook_bare', name: 'fieldbook, nothing captured', durability: 'page cache' },
];

interface Peer extends Omit<System, 'name'> {
  readonly package: string;
  readonly suffix: string;
  /** Without this package beside it the peer does not run. */
  readonly also?: string;
}

const PEERS: readonly Peer[] = [
  { script: 'wandb', package: 'wandb', suffix: ' offline', durability: 'other process' },
  { script: 'tensorboardX', package: 'tensorboardX', suffix: '', durability: 'none', note: 'flushed by a thread' },
  { script: 'mlflow', package: 'mlflow-skinny', suffix: ' files', durability: 'page cache' },
  { script: 'mlflow_sqlite', package: 'mlflow-skinny', suffix: ' sqlite', durability: 'fsync', also: 'sqlalchemy' },
  { script: 'trackio', package: 'trackio', suffix: '', durability: 'none', note: 'stored by a thread' },
  { script: 'aim', package: 'aim', suffix: '', durability: 'page cache' },
  { script: 'neptune', package: 'neptune', suffix: ' offline', durability: 'none', note: 'stored by a thread' },
];

type Measured = Record<string, Record<string, number>>;

/** How long a training waits for one call, and how much longer it takes, beside what the machine needs at best. */
const bench: Bench = {
  name: 'log-latency',
  about: 'How long run.log takes with 1, 10 and 100 keys, what it costs a NumPy loop, and the same of other trackers.',
  async run({ smoke }): Promise<Row[]> {
    const { systems, absent } = findSystems();
    const rows: Row[] = [];
    for (const mode of ['calls', 'loop'] as const) {
      const { cases, figures } = MODES[mode];
      // The loop is NumPy's: where it is not installed, calls are measured all the same.
      const reason = mode === 'loop' && !hasNumpy() ? 'numpy is not installed' : undefined;
      for (const name of absent) rows.push(...absentRows(name, cases, figures));
      if (reason === undefined) rows.push(...(await measureAll(mode, systems, smoke)));
      else for (const { name } of systems) rows.push(...absentRows(name, cases, figures, reason));
    }
    return rows;
  },
};

function python(): string {
  return peersPython() ?? 'python3';
}

function hasNumpy(): boolean {
  return pythonPackages(python(), ['numpy']).size > 0;
}

function findSystems(): { systems: System[]; absent: string[] } {
  const names = PEERS.flatMap((peer) => [peer.package, ...(peer.also === undefined ? [] : [peer.also])]);
  const installed = peersPython() === null ? new Map<string, string>() : pythonPackages(python(), names);
  const systems = [...OURS];
  const absent: string[] = [];
  for (const { package: name, suffix, also, ...peer } of PEERS) {
    const version = installed.get(name);
    if (version === undefined || (also !== undefined && !installed.has(also))) absent.push(`${name}${suffix}`);
    else systems.push({ ...peer, name: `${name} ${version}${suffix}` });
  }
  return { systems, absent };
}

/** All systems in turns, so that what else the machine does meets each alike. */
async function measureAll(mode: Mode, systems: readonly System[], smoke: boolean): Promise<Row[]> {
  const results = new Map<System, Measured[]>(systems.map((system) => [system, []]));
  const failures = new Map<System, string>();
  const { repeats, warmUp } = repeatsFor(smoke);
  // A loop warms itself up, and takes half a minute.
  for (let round = mode === 'loop' ? 0 : -warmUp; round < repeats; round++) {
    for (let turn = 0; turn < systems.length; turn++) {
      const system = systems[(turn + round + warmUp) % systems.length]!;
      // Of peers the first rounds are enough: all of them would be most of an hour.
      const enough = !OURS.includes(system) && results.get(system)!.length >= PEER_ROUNDS[mode];
      if (failures.has(system) || enough) continue;
      try {
        // A second in a peer's loop is up to a minute.
        const scale = smoke ? 200 : mode === 'loop' && !OURS.includes(system) ? 2 : 1;
        const measured = await measure(mode, system.script, scale);
        if (round >= 0) results.get(system)!.push(measured);
      } catch (error) {
        // A peer that does not run here is a row that says so; our own failure is the benchmark's.
        if (OURS.includes(system)) throw error;
        failures.set(system, `does not run here: ${String(error).trimEnd().split('\n').at(-1)}`.slice(0, 200));
      }
    }
  }
  const rows: Row[] = [];
  const { cases, figures } = MODES[mode];
  for (const [system, measured] of results) {
    const { name, durability, note } = system;
    const failure = failures.get(system);
    if (failure !== undefined) {
      rows.push(...absentRows(name, cases, figures, failure));
      continue;
    }
    for (const which of cases) {
      for (const figure of Object.keys(measured[0]![which]!)) {
        const values = measured.map((one) => one[which]![figure]!);
        rows.push(medianRow(values, { system: name, case: which, figure, durability, ...(note ? { note } : {}) }));
      }
    }
  }
  return rows;
}

async function measure(mode: Mode, system: string, scale: number): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
  try {
    const script = join(ROOT, 'bench/log-latency.py');
    const { stdout } = await promisify(execFile)(python(), ['-B', script, mode, system, folder, String(scale)], {
      timeout: 5 * 60_000,
      maxBuffer: 1 << 24,
      // Nothing of the developer's own runs or settings takes part.
      env: { PATH: process.env['PATH'], HOME: folder, TMPDIR: folder, OPENBLAS_NUM_THREADS: '1', OMP_NUM_THREADS: '1' },
    });
    return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as Measured;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export default bench;
