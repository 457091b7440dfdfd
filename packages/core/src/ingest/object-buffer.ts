import { CONSOLE_STREAMS } from '../journal/index.ts';
import type { ObjectFile, ObjectRecord } from '../journal/index.ts';
import { GAP_META, OPEN_META } from '../objects/index.ts';
import type { ObjectRow } from '../record/index.ts';

/** Lines of one CONSOLE record, which become rows only when they are written: a record of 256 kB may have as many lines. */
interface ConsoleLines {
  ordinal: number;
  time: number;
  path: string;
  /** Number of the first line. */
  step: number;
  text: string;
  meta: string;
}

type Pending = { row: ObjectRow; file: ObjectFile | null } | ConsoleLines;

/** A line that is still being written on the terminal. */
export type OpenLine = ObjectRow;

/** Object rows of one writer that are not sealed, in ordinal order. */
export class ObjectBuffer {
  readonly #pending: Pending[] = [];
  /** Rows before each item, so that any part can be counted. */
  readonly #before: number[] = [];
  #rows = 0;
  #characters = 0;

  /** Records and single rows. */
  get length(): number {
    return this.#pending.length;
  }

  get rows(): number {
    return this.#rows;
  }

  /** UTF-16 units of all texts, paths and data. */
  get characters(): number {
    return this.#characters;
  }

  /** Bytes held in memory, about. */
  get bytes(): number {
    return this.#characters * 2 + this.#pending.length * 200;
  }

  pushObject(record: ObjectRecord, ordinal: number, time: number): void {
    const { path, step, kind, text, file, meta } = record;
    const row: ObjectRow = {
      path,
      step,
      time,
      kind,
      text: file === null ? text : '',
      digest: file?.digest ?? '',
      size: file?.size ?? 0,
      mime: file?.mime ?? '',
      name: file?.name ?? '',
      meta,
      ordinal,
      part: 0,
    };
    this.#push({ row, file }, 1, weight(row));
  }

  /** A row that tail entries brought back. */
  pushRow(row: ObjectRow): void {
    this.#push({ row, file: null }, 1, weight(row));
  }

  /** Whole lines; how many they are. */
  pushLines(lines: { ordinal: number; time: number; path: string; step: number; text: string; gap: boolean }): number {
    const { gap, ...rest } = lines;
    // A notice is one row, however long it is.
    const count = gap ? 1 : countLines(lines.text);
    this.#push({ ...rest, meta: gap ? GAP_META : '' }, count, lines.text.length + lines.path.length);
    return count;
  }

  /** The ordinal of an item. */
  ordinal(index: number): number {
    const item = this.#pending[index]!;
    return 'row' in item ? item.row.ordinal : item.ordinal;
  }

  /** Rows of the items `[from, to)`. */
  count(from: number, to: number): number {
    const at = (index: number): number => (index < this.#before.length ? this.#before[index]! : this.#rows);
    return at(to) - at(from);
  }

  *rowsOf(from: number, to: number): Generator<ObjectRow> {
    for (let index = from; index < to; index++) {
      const item = this.#pending[index]!;
      if ('row' in item) yield item.row;
      else yield* linesOf(item);
    }
  }

  /** What entries name of an item: lines of one record share it. */
  headOf(index: number): Pick<ObjectRow, 'path' | 'kind' | 'digest'> {
    const item = this.#pending[index]!;
    return 'row' in item ? item.row : { path: item.path, kind: 'text', digest: '' };
  }

  /** Files of the items `[from, to)` that lie in the spool folder. */
  filesOf(from: number, to: number): ObjectFile[] {
    const files: ObjectFile[] = [];
    for (const item of this.#pending.slice(from, to)) if ('row' in item && item.file !== null) files.push(item.file);
    return files;
  }

  clear(): void {
    this.#pending.length = 0;
    this.#before.length = 0;
    this.#rows = 0;
    this.#characters = 0;
  }

  #push(item: Pending, rows: number, characters: number): void {
    this.#pending.push(item);
    this.#before.push(this.#rows);
    this.#rows += rows;
    this.#characters += characters;
  }
}

/** The row of an unfinished line. */
export function openLine(line: { ordinal: number; time: number; path: string; step: number; text: string }): OpenLine {
  return { ...consoleRow(line, line.step, line.text, 0), meta: OPEN_META };
}

/** The path of a stream's lines. */
export function consolePath(stream: number): string {
  return `console/${CONSOLE_STREAMS[stream]}`;
}

function* linesOf(item: ConsoleLines): Generator<ObjectRow> {
  const { step, meta, text } = item;
  if (meta !== '') return yield { ...consoleRow(item, step, text, 0), meta };
  for (let start = 0, part = 0; start <= text.length; part++) {
    const end = text.indexOf('\n', start);
    const stop = end === -1 ? text.length : end;
    yield consoleRow(item, step + part, text.slice(start, stop), part);
    start = stop + 1;
  }
}

function consoleRow(
  line: { ordinal: number; time: number; path: string },
  step: number,
  text: string,
  part: number,
): ObjectRow {
  const { path, time, ordinal } = line;
  return { path, step, time, kind: 'text', text, digest: '', size: 0, mime: '', name: '', meta: '', ordinal, part };
}

function countLines(text: string): number {
  let count = 1;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count++;
  return count;
}

function weight(row: ObjectRow): number {
  return row.text.length + row.path.length + row.name.length + row.meta.length;
}
