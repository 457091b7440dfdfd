import type { Command } from 'commander';
import { FieldbookError } from '@fieldbook/core';
import type { Cli } from '../command.ts';
import { printJson, withClient, withJson } from '../command.ts';
import { formatBytes, plural } from '../format.ts';
import type { EvictedShape } from '../shapes.ts';
import type { Column } from '../table.ts';
import { table } from '../table.ts';

/** Every byte is read here and by each replica. */
const EVICT_MS = 24 * 60 * 60_000;
const DAY = 86_400_000;
const AGE: Readonly<Record<string, number>> = { h: 3_600_000, d: DAY, w: 7 * DAY, m: 30 * DAY, y: 365 * DAY };
const SIZE: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

interface Options {
  olderThan?: string;
  keep?: string;
  replicas: string;
  points?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

export function evictCommand(program: Command, cli: Cli): void {
  const command = program
    .command('evict')
    .description('free space: remove bytes of files that other replicas prove to hold; they come back when needed')
    .option('--older-than <age>', 'only files older than this: 12h, 30d, 8w, 6m, 1y')
    .option('--keep <bytes>', 'keep so much of the newest: 500M, 20G')
    .option('--replicas <n>', 'how many others must prove that they hold a file', '1')
    .option('--points', 'the points of runs, too; charts then need a relay')
    .option('--dry-run', 'do everything but the removal');
  withJson(command).action(async (options: Options) => {
    const replicas = Number(options.replicas);
    if (!Number.isSafeInteger(replicas) || replicas < 1)
      throw new FieldbookError('invalid_argument', `--replicas takes a number from 1 on, not ${options.replicas}.`);
    const body = {
      olderThanMs: options.olderThan === undefined ? null : readAge(options.olderThan),
      keepBytes: options.keep === undefined ? null : readSize(options.keep),
      replicas,
      points: options.points === true,
      dryRun: options.dryRun === true,
    };
    if (body.olderThanMs === null && body.keepBytes === null && body.dryRun === false)
      throw new FieldbookError(
        'invalid_argument',
        'Say which files: --older-than AGE, --keep BYTES or both; "--keep 0" is all of them, --dry-run shows what would go.',
      );
    await withClient(cli, async (client) => {
      const evicted = await client.call<EvictedShape>('POST', '/evict', { body, timeoutMs: EVICT_MS });
      if (options.json === true) printJson(cli.terminal, evicted);
      else print(cli, evicted);
    });
  });
}

interface Row {
  run: string;
  path: string;
  size: number;
  reason?: string;
}

function print({ terminal }: Cli, { dryRun, evicted, bytes, kept }: EvictedShape): void {
  const columns: Column<Row>[] = [
    { title: 'RUN', text: ({ run }) => run },
    { title: 'PATH', text: ({ path }) => path, shrink: true },
    { title: 'SIZE', text: ({ size }) => formatBytes(size), right: true },
  ];
  if (evicted.length > 0) terminal.out(table<Row>(terminal, columns, evicted));
  const would = dryRun ? 'Would free' : 'Freed';
  terminal.out(`${would} ${formatBytes(bytes)} of ${plural(evicted.length, 'file')}.\n`);
  if (kept.length === 0) return;
  terminal.out(`\nStays, though it was asked for:\n`);
  const why: Column<Row> = { title: 'WHY', text: ({ reason }) => reason ?? '', shrink: true };
  terminal.out(table<Row>(terminal, [...columns, why], kept));
}

/** `30d` in ms. Throws `invalid_argument`. */
export function readAge(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([hdwmy])$/i.exec(text.trim());
  if (match === null)
    throw new FieldbookError('invalid_argument', `${text} is no age; write 12h, 30d, 8w, 6m (months) or 1y.`);
  return Math.round(Number(match[1]) * AGE[match[2]!.toLowerCase()]!);
}

/** `20G` in bytes, decimal as disks have them. Throws `invalid_argument`. */
export function readSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)b?$/i.exec(text.trim());
  if (match === null) throw new FieldbookError('invalid_argument', `${text} is no number of bytes; write 500M or 20G.`);
  return Math.round(Number(match[1]) * SIZE[match[2]!.toLowerCase()]!);
}
