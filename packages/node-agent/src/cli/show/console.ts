import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { segment } from '../command.ts';
import type { ObjectPathShape, ObjectRowShape, ObjectRowsShape, RunDetailShape } from '../shapes.ts';
import { paint } from '../terminal.ts';
import { manyLines } from '../width.ts';

const PREFIX = 'console/';
/** Rows in one answer of the API. */
const PAGE = 1_000;
const LOOK_MS = 1_000;
const ENDED = new Set(['finished', 'failed', 'crashed', 'lost', 'preempted']);

export interface ConsoleLine {
  stream: string;
  writer: string;
  ordinal: number;
  part: number;
  time: number;
  text: string;
  open: boolean;
  gap: boolean;
}

export interface ConsoleLines {
  lines: ConsoleLine[];
  /** Lines that are recorded and whose bytes are not on this machine. */
  missing: number;
}

/** The last lines of all streams together, in the order in which they were printed. */
export async function readConsole(client: Client, run: string, count: number, from?: number): Promise<ConsoleLines> {
  const { paths } = await client.call<{ paths: ObjectPathShape[] }>('GET', `/runs/${segment(run)}/objects`);
  const found: ConsoleLines = { lines: [], missing: 0 };
  for (const { path } of paths) {
    if (!path.startsWith(PREFIX)) continue;
    let cursor: string | null = null;
    let left = count;
    do {
      const answer: ObjectRowsShape = await client.call('GET', `/runs/${segment(run)}/object`, {
        query: { path, x: 'time', end: 'last', limit: Math.min(left, PAGE), cursor: cursor ?? undefined, from },
      });
      for (const row of answer.rows) if (row.text !== null) found.lines.push(lineOf(path, row, row.text));
      if (cursor === null) found.missing += answer.missing.reduce((sum, { rows }) => sum + rows, 0);
      left -= answer.rows.length;
      cursor = answer.next;
    } while (cursor !== null && left > 0);
  }
  found.lines.sort(
    (a, b) => a.time - b.time || compare(a.writer, b.writer) || a.ordinal - b.ordinal || a.part - b.part,
  );
  return { ...found, lines: found.lines.slice(-count) };
}

function lineOf(path: string, { writer, ordinal, part, time, open, gap }: ObjectRowShape, text: string): ConsoleLine {
  return { stream: path.slice(PREFIX.length), writer, ordinal, part, time, text, open, gap };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Sequences that a terminal obeys: colours and cursor (CSI), titles and links (OSC), and the single ones. */
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])/g;

/** A line as it may be printed here: what it was, without what it did to its own terminal. */
export function plainLine(text: string): string {
  return manyLines(text.replace(ESCAPES, ''));
}

export function printConsole({ terminal }: Cli, { lines, missing }: ConsoleLines): void {
  if (missing > 0) terminal.err(`${missing} lines are on another machine.\n`);
  for (const { stream, text, gap } of lines) {
    const plain = plainLine(text);
    const marked = gap ? paint(terminal, 'dim', plain) : stream === 'stderr' ? paint(terminal, 'red', plain) : plain;
    terminal.out(`${marked}\n`);
  }
}

/** Prints what comes until the run has ended. A line that was still being written is printed when it is whole. */
export async function followConsole(cli: Cli, client: Client, run: string, first: ConsoleLines): Promise<void> {
  const key = ({ writer, ordinal, part, stream }: ConsoleLine): string => `${stream} ${writer} ${ordinal} ${part}`;
  let seen = new Set(first.lines.filter(({ open }) => !open).map(key));
  printConsole(cli, { ...first, lines: first.lines.filter(({ open }) => !open) });
  let from = first.lines.at(-1)?.time;
  for (;;) {
    const { status } = await client.call<RunDetailShape>('GET', `/runs/${segment(run)}`);
    const now = await readConsole(client, run, PAGE, from);
    const over = ENDED.has(status);
    const fresh = now.lines.filter((line) => !seen.has(key(line)) && (over || !line.open));
    printConsole(cli, { lines: fresh, missing: 0 });
    if (over) return;
    // What lies before the earliest open line never comes again.
    const open = now.lines.find((line) => line.open);
    from = open?.time ?? now.lines.at(-1)?.time ?? from;
    seen = new Set([...seen, ...fresh.map(key)].slice(-10 * PAGE));
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
