import { FieldbookError } from '../errors.ts';
import type { WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { Entry, SegmentEntry, TailEntry } from '../record/index.ts';
import { divide } from './coverage.ts';
import type { Segment } from './segment-reader.ts';
import type { MetricColumns } from './segment-reader.ts';
import type { MissingSegment } from './series.ts';

/** Where some points of a request come from: ordinals `[from, to]` of one entry; `whole` when those are all of it. */
export type Origin = SegmentOrigin | TailOrigin;

export interface SegmentOrigin {
  kind: 'segment';
  writer: WriterId;
  entry: SegmentEntry;
  segment: Segment;
  from: number;
  to: number;
  whole: boolean;
}

export interface TailOrigin {
  kind: 'tail';
  writer: WriterId;
  entry: TailEntry;
  from: number;
  to: number;
}

/** Blobs that a request could not read, and what they alone cover. */
export class Absent {
  missing: MissingSegment[] = [];
  corrupt: MissingSegment[] = [];
  readonly #blobs = new Map<BlobDigest, 'missing' | 'corrupt'>();

  has(digest: BlobDigest): boolean {
    return this.#blobs.has(digest);
  }

  get size(): number {
    return this.#blobs.size;
  }

  /** An error of reading a blob, with its digest; anything else as it is. */
  static named(error: unknown, digest: BlobDigest): unknown {
    if (!(error instanceof FieldbookError) || !(error.code in VERDICTS)) return error;
    return new FieldbookError(error.code, error.message, { cause: error, details: { digest } });
  }

  /** Takes note of a blob that an error of `named` says is absent; false for any other error. */
  note(error: unknown): boolean {
    if (!(error instanceof FieldbookError)) return false;
    const verdict = VERDICTS[error.code as keyof typeof VERDICTS] as 'missing' | 'corrupt' | undefined;
    const digest = error.details?.['digest'] as BlobDigest | undefined;
    if (verdict === undefined || digest === undefined || this.#blobs.has(digest)) return false;
    this.#blobs.set(digest, verdict);
    return true;
  }

  /** Lists what only absent blobs cover. */
  list(pieces: readonly { source: SegmentEntry | TailEntry; from: number; to: number }[]): void {
    for (const { source, from, to } of pieces) {
      const verdict = source.kind === 'segment' ? this.#blobs.get(source.digest) : undefined;
      if (source.kind !== 'segment' || verdict === undefined) continue;
      const { writer, device, digest, size, points } = source;
      (verdict === 'missing' ? this.missing : this.corrupt).push({
        writer,
        device,
        first: from,
        last: to,
        digest,
        size,
        points,
      });
    }
  }
}

const VERDICTS = { blob_missing: 'missing', segment_corrupt: 'corrupt', blob_corrupt: 'corrupt' } as const;
/** Footers opened at once. */
const OPENING = 8;

/**
 * Who says which points of a metric: by writer, then by ordinal. Footers are opened on the way; a blob that cannot be is noted in
 * `absent`, and the next best entry speaks for its ordinals.
 */
export async function originsOf(
  entries: Iterable<Entry>,
  metric: string,
  absent: Absent,
  open: (entry: SegmentEntry) => Promise<Segment>,
): Promise<Origin[]> {
  const writers = new Map<WriterId, (SegmentEntry | TailEntry)[]>();
  for (const entry of entries) {
    if (entry.kind !== 'segment' && entry.kind !== 'tail') continue;
    const list = writers.get(entry.writer);
    if (list === undefined) writers.set(entry.writer, [entry]);
    else list.push(entry);
  }
  absent.missing = [];
  absent.corrupt = [];
  const origins: Origin[] = [];
  for (const writer of [...writers.keys()].sort()) {
    for (;;) {
      const known = absent.size;
      const pieces = divide(writers.get(writer)!, (a, b) => preferred(a, b, absent));
      const segments = await openAll(pieces, absent, open);
      // A blob that proves absent lets the next best source speak for its ordinals, so divide again without it.
      if (absent.size > known) continue;
      for (const { source: entry, from, to, whole } of pieces) {
        if (entry.kind === 'tail') {
          if (entry.names.includes(metric)) origins.push({ kind: 'tail', writer, entry, from, to });
          continue;
        }
        const segment = segments.get(entry.digest);
        if (segment?.metrics.has(metric) === true)
          origins.push({ kind: 'segment', writer, entry, segment, from, to, whole });
      }
      absent.list(pieces);
      break;
    }
  }
  return origins;
}

/** Points of a tail with ordinals in `[from, to]`, by step, then ordinal. */
export function tailColumns(tail: TailEntry, metric: string, from: number, to: number): MetricColumns {
  const number = tail.names.indexOf(metric);
  const rows: number[] = [];
  if (number >= 0) {
    for (let row = 0; row < tail.metric.length; row++) {
      const ordinal = tail.ordinal[row]!;
      if (tail.metric[row] === number && ordinal >= from && ordinal <= to) rows.push(row);
    }
  }
  rows.sort((a, b) => tail.step[a]! - tail.step[b]! || tail.ordinal[a]! - tail.ordinal[b]!);
  const pick = (column: Float64Array): Float64Array => Float64Array.from(rows, (row) => column[row]!);
  return { step: pick(tail.step), time: pick(tail.time), value: pick(tail.value), ordinal: pick(tail.ordinal) };
}

async function openAll(
  pieces: readonly { source: SegmentEntry | TailEntry }[],
  absent: Absent,
  open: (entry: SegmentEntry) => Promise<Segment>,
): Promise<Map<BlobDigest, Segment>> {
  const wanted = new Map<BlobDigest, SegmentEntry>();
  for (const { source } of pieces)
    if (source.kind === 'segment' && !absent.has(source.digest)) wanted.set(source.digest, source);
  const segments = new Map<BlobDigest, Segment>();
  const queue = [...wanted.values()];
  const worker = async (): Promise<void> => {
    for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
      try {
        segments.set(entry.digest, await open(entry));
      } catch (error) {
        if (!absent.note(error)) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(OPENING, queue.length) }, worker));
  return segments;
}

/** Sealed and present before tails before absent; then the longer, so that few pieces result; then anything that is the same everywhere. */
function preferred(a: SegmentEntry | TailEntry, b: SegmentEntry | TailEntry, absent: Absent): number {
  const rank = (entry: SegmentEntry | TailEntry): number =>
    entry.kind === 'tail' ? 1 : absent.has(entry.digest) ? 2 : 0;
  return (
    rank(a) - rank(b) || b.last - b.first - (a.last - a.first) || a.first - b.first || (a.device < b.device ? -1 : 1)
  );
}
