import { resolve } from 'node:path';
import type { Command } from 'commander';
import { FieldbookError } from '@fieldbook/core';
import type { DataDiff, DataFile } from '@fieldbook/core/data';
import { diffDataLists } from '@fieldbook/core/data';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, withClient, withJson, withProject } from '../command.ts';
import type { CheckedFile } from '../data-check.ts';
import { checkData } from '../data-check.ts';
import type { DataVersion, RunData } from '../data-versions.ts';
import { dataOf, readList, whyNot } from '../data-versions.ts';
import { EXIT } from '../exit.ts';
import { formatBytes, plural } from '../format.ts';
import { table } from '../table.ts';
import { paint, Progress } from '../terminal.ts';
import { oneLine } from '../width.ts';

interface Options {
  project?: string;
  path?: string;
  root?: string;
  json?: boolean;
}

/** A version as `--json` answers it. */
type VersionView = Omit<DataVersion, 'list' | 'path'>;

interface Compared {
  path: string;
  /** `unknown`: the digests differ and how cannot be said, or one of them is not known. */
  state: 'same' | 'different' | 'added' | 'removed' | 'unknown';
  left: VersionView | null;
  right: VersionView | null;
  diff: DataDiff | null;
  /** Why there is no difference to show; null when there is, or none is needed. */
  reason: string | null;
}

/** Lines of each kind on a terminal; `--json` has all. */
const SHOWN = 20;

export function dataCommands(program: Command, cli: Cli): void {
  const data = program.command('data').description('data versions of runs: list, compare, check');
  const ls = data
    .command('ls')
    .description('which data a run saw')
    .argument('<run>', 'id, beginning of an id, or name');
  withJson(withProject(ls)).action((run: string, options: Options) =>
    withClient(cli, async (client) => {
      const found = await dataOf(client, run, options.project);
      if (options.json === true) printJson(cli.terminal, { run: found.run.id, data: found.versions.map(listed) });
      else printList(cli, found);
    }),
  );
  const diff = data
    .command('diff')
    .description('how the data of two runs differs')
    .argument('<left>', 'id, beginning of an id, or name')
    .argument('<right>', 'id, beginning of an id, or name')
    .option('--path <path>', 'of this attribute only');
  withJson(withProject(diff)).action((left: string, right: string, options: Options) =>
    withClient(cli, async (client) => {
      const a = await dataOf(client, left, options.project);
      const b = await dataOf(client, right, options.project);
      const compared = await compare(client, a, b, options.path);
      if (options.json === true) printJson(cli.terminal, { left: a.run.id, right: b.run.id, data: compared });
      else printDiff(cli, a, b, compared);
    }),
  );
  const check = data
    .command('check')
    .description('whether the files here are the data that a run saw')
    .argument('<run>', 'id, beginning of an id, or name')
    .option('--path <path>', 'of this attribute only')
    .option('--root <folder>', 'where the data lies here; without it, where it lay');
  withJson(withProject(check)).action((run: string, options: Options) =>
    withClient(cli, (client) => checkRun(cli, client, run, options), { telling: true }),
  );
}

function listed({ list, ...version }: DataVersion): object {
  return { ...version, state: list === null ? null : list.state };
}

function viewOf(version: DataVersion | undefined): VersionView | null {
  if (version === undefined) return null;
  const { digest, source, files, bytes, from } = version;
  return { digest, source, files, bytes, from };
}

function printList({ terminal }: Cli, { run, versions }: RunData): void {
  if (versions.length === 0) {
    terminal.out(`${oneLine(run.name)} names no data; run["data/train"].track_files("data/") does\n`);
    return;
  }
  terminal.out(
    table(
      terminal,
      [
        { title: 'DATA', text: ({ path }) => path, shrink: true },
        { title: 'VERSION', text: ({ digest }) => digest?.slice(0, 12) ?? 'not known' },
        { title: 'FILES', text: ({ files }) => (files === null ? '–' : String(files)), right: true },
        { title: 'SIZE', text: ({ bytes }) => (bytes === null ? '–' : formatBytes(bytes)), right: true },
        { title: 'FROM', text: ({ from, source }) => source ?? from ?? '–', shrink: true },
        { title: 'LIST', text: ({ list }) => (list === null ? 'none' : list.state === 'here' ? 'here' : list.device) },
      ],
      versions,
    ),
  );
}

async function compare(client: Client, a: RunData, b: RunData, only: string | undefined): Promise<Compared[]> {
  const left = new Map(a.versions.map((version) => [version.path, version]));
  const right = new Map(b.versions.map((version) => [version.path, version]));
  const paths = [...new Set([...left.keys(), ...right.keys()])].sort();
  if (only !== undefined && !paths.includes(only)) throw noSuch(only, `${a.run.id} and ${b.run.id}`, paths);
  const compared: Compared[] = [];
  for (const path of only === undefined ? paths : [only]) {
    const [x, y] = [left.get(path), right.get(path)];
    const base = { path, left: viewOf(x), right: viewOf(y), diff: null, reason: null };
    if (x === undefined || y === undefined) compared.push({ ...base, state: x === undefined ? 'added' : 'removed' });
    else if (x.digest !== null && x.digest === y.digest) compared.push({ ...base, state: 'same' });
    else compared.push({ ...base, ...(await compareLists(client, [a, x], [b, y])) });
  }
  return compared;
}

async function compareLists(
  client: Client,
  [a, x]: readonly [RunData, DataVersion],
  [b, y]: readonly [RunData, DataVersion],
): Promise<Pick<Compared, 'state' | 'diff' | 'reason'>> {
  const differs = x.digest !== null && y.digest !== null;
  const before = await readList(client, a.run, x);
  const after = before === null ? null : await readList(client, b.run, y);
  if (before === null || after === null) {
    const [run, version] = before === null ? [a.run, x] : [b.run, y];
    return { state: differs ? 'different' : 'unknown', diff: null, reason: `of ${run.id}, ${whyNot(version)}` };
  }
  const diff = diffDataLists(before, after);
  // Another name for a content makes another digest; only a difference of contents is one.
  const open = diff.added.length + diff.removed.length + diff.changed.length + diff.moved.length === 0;
  if (diff.same) return { state: 'same', diff, reason: null };
  return { state: open ? 'unknown' : 'different', diff, reason: null };
}

function printDiff({ terminal }: Cli, a: RunData, b: RunData, compared: readonly Compared[]): void {
  const say = (line: string): void => terminal.out(`${line}\n`);
  if (compared.length === 0) {
    say(`neither ${oneLine(a.run.name)} nor ${oneLine(b.run.name)} names any data`);
    return;
  }
  for (const { path, state, left, right, diff, reason } of compared) {
    const title = paint(terminal, 'bold', oneLine(path));
    if (state === 'same') say(`${title}  same data, ${describe(left)}`);
    else if (state === 'added') say(`${title}  only in ${oneLine(b.run.name)}, ${describe(right)}`);
    else if (state === 'removed') say(`${title}  only in ${oneLine(a.run.name)}, ${describe(left)}`);
    else {
      const verdict = state === 'different' ? 'different data' : 'it cannot be said whether it is the same data';
      say(`${title}  ${verdict}: ${describe(left)}; ${describe(right)}`);
      if (reason !== null) say(`  what differs cannot be said here: ${oneLine(reason)}`);
      if (diff !== null) printFiles(terminal, diff);
    }
  }
}

function describe(version: VersionView | null): string {
  if (version === null) return 'none';
  if (version.digest === null) return oneLine(version.source ?? 'version not known');
  const size = version.bytes === null ? '' : `, ${formatBytes(version.bytes)}`;
  const files = version.files === null ? '' : ` (${plural(version.files, 'file')}${size})`;
  return `${version.digest.slice(0, 12)}${files}`;
}

function printFiles(terminal: Cli['terminal'], diff: DataDiff): void {
  const say = (mark: string, style: 'green' | 'red' | 'yellow' | 'dim', lines: readonly string[]): void => {
    const shown = terminal.interactive ? lines.slice(0, SHOWN) : lines;
    for (const line of shown) terminal.out(`  ${paint(terminal, style, mark)} ${oneLine(line)}\n`);
    if (shown.length < lines.length)
      terminal.out(`  ${paint(terminal, 'dim', `  … and ${lines.length - shown.length} more; --json has all`)}\n`);
  };
  const sized = ({ path, size }: DataFile): string => `${path}  ${formatBytes(size)}`;
  say('+', 'green', diff.added.map(sized));
  say('-', 'red', diff.removed.map(sized));
  say(
    '~',
    'yellow',
    diff.changed.map(({ path, before, after }) =>
      before.size === after.size
        ? `${path}  ${formatBytes(after.size)}, same size`
        : `${path}  ${formatBytes(before.size)} → ${formatBytes(after.size)}`,
    ),
  );
  say(
    '>',
    'yellow',
    diff.moved.map(({ from, to, size }) => `${from} → ${to}  ${formatBytes(size)}`),
  );
  say(
    '?',
    'dim',
    diff.unknown.map(
      ({ path, before, after }) => `${path}  cannot be compared: ${before.algorithm} here, ${after.algorithm} there`,
    ),
  );
  terminal.out(`  ${paint(terminal, 'dim', `${plural(diff.kept, 'file')} equal, ${formatBytes(diff.keptBytes)}`)}\n`);
}

async function checkRun(cli: Cli, client: Client, run: string, options: Options): Promise<void> {
  const { terminal } = cli;
  const found = await dataOf(client, run, options.project);
  const paths = found.versions.map(({ path }) => path);
  if (options.path !== undefined && !paths.includes(options.path)) throw noSuch(options.path, found.run.id, paths);
  const versions = found.versions.filter(({ path }) => options.path === undefined || path === options.path);
  if (options.root !== undefined && versions.length > 1)
    throw new FieldbookError(
      'invalid_argument',
      `--root is the place of one data version; say which with --path: ${paths.join(', ')}.`,
    );
  if (versions.length === 0)
    throw new FieldbookError('not_found', `Run ${found.run.id} names no data that could be checked.`);
  const answers: object[] = [];
  let good = true;
  for (const version of versions) {
    const list = await readList(client, found.run, version);
    if (list === null)
      throw new FieldbookError('blob_missing', `The data at ${version.path} cannot be checked: ${whyNot(version)}.`);
    const root = resolve(options.root ?? list.root);
    const progress = new Progress(terminal, `Checking ${version.path} …`);
    const total = formatBytes(list.bytes);
    const checked = await checkData(list, root, (files, bytes) =>
      progress.update(
        `Checking ${version.path}: ${files} of ${list.files.length} files, ${formatBytes(bytes)} of ${total}`,
      ),
    ).finally(() => progress.end());
    const wrong = checked.filter(({ verdict }) => verdict !== 'same');
    const failed = wrong.some(({ verdict }) => verdict !== 'unchecked');
    good &&= !failed;
    answers.push({
      path: version.path,
      digest: version.digest,
      root,
      ok: !failed,
      files: checked.length,
      same: checked.length - wrong.length,
      wrong,
    });
    if (options.json !== true) printCheck(cli, version, root, checked.length, wrong);
  }
  if (options.json === true) printJson(terminal, { run: found.run.id, ok: good, data: answers });
  if (!good) cli.setExitCode(EXIT.failure);
}

function printCheck(
  { terminal }: Cli,
  version: DataVersion,
  root: string,
  files: number,
  wrong: readonly CheckedFile[],
): void {
  const title = paint(terminal, 'bold', oneLine(version.path));
  const place = oneLine(root);
  if (wrong.length === 0) {
    terminal.out(`${title}  all of ${plural(files, 'file')} in ${place} as listed\n`);
    return;
  }
  terminal.out(`${title}  ${plural(wrong.length, 'file')} of ${files} in ${place} not as listed\n`);
  const shown = terminal.interactive ? wrong.slice(0, SHOWN) : wrong;
  for (const { path, verdict, reason } of shown) {
    const style = verdict === 'unchecked' ? 'dim' : 'red';
    terminal.out(`  ${paint(terminal, style, verdict)}  ${oneLine(path)}  ${oneLine(reason ?? '')}\n`);
  }
  if (shown.length < wrong.length) terminal.out(`  … and ${wrong.length - shown.length} more; --json has all\n`);
}

function noSuch(path: string, where: string, known: readonly string[]): FieldbookError {
  const there = known.length === 0 ? 'none' : known.join(', ');
  return new FieldbookError('not_found', `There is no data at ${path} in ${where}; there is at: ${there}.`);
}
