import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { absentRows, interleave, medianOf, medianRow, repeatsFor, ROOT, row, timed } from './harness.ts';
import type { Bench, Row } from './harness.ts';

interface Tree {
  name: string;
  files: number;
  /** Bytes of each. */
  size: number;
}

/** What bench/track-files.py prints. */
interface Round {
  first_s: number;
  second_s: number;
  bytes: number;
  files: number;
}

/** Shards of a training set, recordings, photographs, and the worst case: where a file costs more than its bytes. */
const TREES: readonly Tree[] = [
  { name: '16 files of 64 MB', files: 16, size: 64_000_000 },
  { name: '300 files of 2 MB', files: 300, size: 2_000_000 },
  { name: '2,000 files of 200 kB', files: 2_000, size: 200_000 },
  { name: '20,000 files of 4 kB', files: 20_000, size: 4_000 },
];
const SMOKE: readonly Tree[] = [{ name: '8 files of 100 kB', files: 8, size: 100_000 }];
const FLOOR = 'floor: sha256sum';

function plant(root: string, { files, size }: Tree): string {
  const folder = join(root, `${files}x${size}`);
  // The same bytes over and over would let nothing but a cache win; nobody here looks at them twice.
  const bytes = randomBytes(size);
  for (let index = 0; index < files; index++) {
    const part = join(folder, `part-${index % 50}`);
    mkdirSync(part, { recursive: true });
    bytes.writeUInt32LE(index, 0);
    writeFileSync(join(part, `${index}.bin`), bytes);
  }
  return folder;
}

/** As a person would: so many sha256sum at once, as few starts of it as that allows. */
function sha256sum(folder: string, tree: Tree, threads: number): Promise<void> {
  const each = Math.max(1, Math.min(500, Math.floor(tree.files / (threads * 4))));
  const command = `find "$0" -type f -print0 | xargs -0 -P ${threads} -n ${each} sha256sum > /dev/null`;
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', command, folder], { stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`sha256sum ended with ${code}`))));
  });
}

async function track(folder: string, home: string, threads: number): Promise<Round> {
  const script = join(ROOT, 'bench/track-files.py');
  const { stdout } = await promisify(execFile)('python3', [script, folder, home, String(threads)]);
  return JSON.parse(stdout) as Round;
}

async function hasSha256sum(): Promise<boolean> {
  return promisify(execFile)('sh', ['-c', 'command -v sha256sum && command -v xargs']).then(
    () => true,
    () => false,
  );
}

async function measure(root: string, tree: Tree, threads: number, smoke: boolean): Promise<Row[]> {
  const folder = plant(root, tree);
  const bytes = tree.files * tree.size;
  const floor = await hasSha256sum();
  const second: number[] = [];
  const ratio: number[] = [];
  const measurements: Record<string, () => Promise<number>> = {
    fieldbook: async () => {
      const home = mkdtempSync(join(root, 'home-'));
      const round = await track(folder, home, threads);
      rmSync(home, { recursive: true });
      if (round.bytes !== bytes || round.files !== tree.files) throw new Error(`${round.bytes} bytes were hashed`);
      second.push(round.second_s * 1_000);
      ratio.push(round.first_s / round.second_s);
      return bytes / round.first_s / 1e9;
    },
  };
  if (floor) {
    measurements['sha256sum'] = async () => bytes / (await timed(() => sha256sum(folder, tree, threads))) / 1e6;
  }
  const measured = await interleave(measurements, repeatsFor(smoke));
  // Warm-up rounds are no measurements here either.
  for (const values of [second, ratio]) values.splice(0, values.length - measured['fieldbook']!.length);
  const about = `${tree.name}, ${threads} threads, in the page cache`;
  const rows: Row[] = [
    medianRow(measured['fieldbook']!, { system: 'fieldbook', case: about, figure: 'gb_per_s', durability: 'none' }),
    medianRow(second, { system: 'fieldbook, nothing changed', case: about, figure: 'pass_ms', durability: 'none' }),
    row({ system: 'fieldbook, nothing changed', case: about, figure: 'first_to_second_ratio', value: medianOf(ratio) }),
    row({
      system: 'fieldbook, nothing changed',
      case: about,
      figure: 'file_us',
      value: (medianOf(second) * 1_000) / tree.files,
    }),
  ];
  const sums = measured['sha256sum'];
  rows.push(
    ...(sums === undefined
      ? absentRows(FLOOR, [about], ['gb_per_s'])
      : [medianRow(sums, { system: FLOOR, case: about, figure: 'gb_per_s', durability: 'none' })]),
  );
  rmSync(folder, { recursive: true });
  return rows;
}

/** What a training waits for before it begins: how fast its data is hashed, and how long it takes when nothing changed. */
const bench: Bench = {
  name: 'track-files',
  about: 'GB/s of track_files beside sha256sum with as many threads, and the second pass over unchanged files.',
  async run({ smoke, machine }): Promise<Row[]> {
    const root = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
    const rows: Row[] = [];
    try {
      for (const tree of smoke ? SMOKE : TREES) rows.push(...(await measure(root, tree, machine.cores, smoke)));
      return rows;
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  },
};
export default bench;
