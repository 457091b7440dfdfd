import type { WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { Entry, ObjectRow, ObjectsEntry, ObjectTailEntry } from '../record/index.ts';
import type { Piece } from '../series/coverage.ts';
import { divide } from '../series/coverage.ts';
import type { PlacedRow } from './place.ts';
import { countRows } from './segment.ts';

/** What an unfinished console line has beside it. */
export const OPEN_META = '{"open":true}';
/** What a notice of left out lines has beside it. */
export const GAP_META = '{"gap":true}';

export type ObjectSource = ObjectsEntry | ObjectTailEntry;

export function isOpen(row: ObjectRow): boolean {
  return row.meta === OPEN_META;
}

/** What the manifest says of objects: who covers which ordinals of which writer, and the lines that are still being written. */
export class ObjectSources {
  readonly #writers = new Map<WriterId, ObjectSource[]>();
  readonly #open = new Map<string, PlacedRow>();

  constructor(entries: Iterable<Entry>, writer?: WriterId) {
    for (const entry of entries) {
      if (entry.kind !== 'objects' && entry.kind !== 'objecttail') continue;
      if (writer !== undefined && entry.writer !== writer) continue;
      if (entry.kind === 'objecttail' && entry.rows.some(isOpen)) {
        for (const row of entry.rows) this.#noteOpen({ ...row, writer: entry.writer });
        continue;
      }
      const list = this.#writers.get(entry.writer);
      if (list === undefined) this.#writers.set(entry.writer, [entry]);
      else list.push(entry);
    }
  }

  /** Every ordinal's one source; segments in `absent` speak only where nobody else does. */
  pieces(absent: ReadonlySet<BlobDigest>): Piece<ObjectSource>[] {
    return [...this.#writers.values()].flatMap((sources) => divide(sources, (a, b) => preferred(a, b, absent)));
  }

  /** Unfinished lines that nothing has replaced yet. */
  openRows(): PlacedRow[] {
    return [...this.#open.values()].filter((row) => this.#lastStep(row.writer, row.path) < row.step);
  }

  #noteOpen(row: PlacedRow): void {
    const key = `${row.writer}/${row.path}`;
    const known = this.#open.get(key);
    if (known === undefined || row.ordinal > known.ordinal) this.#open.set(key, row);
  }

  /** Lines are numbered, so the highest number says how far a stream is, whoever took it in. */
  #lastStep(writer: WriterId, path: string): number {
    let last = -Infinity;
    for (const source of this.#writers.get(writer) ?? []) {
      const counts = source.kind === 'objects' ? source.paths : countRows(source.rows);
      for (const count of counts) if (count.path === path) last = Math.max(last, count.lastStep);
    }
    return last;
  }
}

/** Sealed and present before tails before absent; then the longer, so that few pieces result; then anything that is the same everywhere. */
function preferred(a: ObjectSource, b: ObjectSource, absent: ReadonlySet<BlobDigest>): number {
  const rank = (source: ObjectSource): number => (source.kind === 'objecttail' ? 1 : absent.has(source.digest) ? 2 : 0);
  return (
    rank(a) - rank(b) || b.last - b.first - (a.last - a.first) || a.first - b.first || (a.device < b.device ? -1 : 1)
  );
}
