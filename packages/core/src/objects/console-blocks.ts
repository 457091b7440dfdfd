import type { WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { ObjectRow } from '../record/index.ts';

/** Console lines of one stream of one writer in one piece of the manifest, in their order. */
export interface Part {
  writer: WriterId;
  path: string;
  count: number;
  /** Those of a tail; null of a segment. */
  rows: readonly ObjectRow[] | null;
  /** Of the segment. */
  digest: BlobDigest | null;
  /** Which rows of the path in the segment, when not all. */
  picked: Uint32Array | null;
  /** ms since the epoch: of the earliest and latest row of the piece. */
  start: number;
  end: number;
  /** First ordinal of the piece. */
  first?: number;
  /** A line that is still being written. */
  open?: boolean;
}

/** Parts whose lines lie between each other's, and no other's between theirs: what must be put in order together. */
export interface Block {
  parts: readonly Part[];
  /** Number of its first line among all. */
  start: number;
  count: number;
  /** Names its lines and their order. */
  key: string;
}

/**
 * Divides parts into blocks, in the order of the console. Of one writer the pieces follow each other by ordinal, so each is a block of
 * its own; pieces of several writers that overlap in time are one. Lines that are still being written come last.
 */
export function blocksOf(parts: readonly Part[]): Block[] {
  const pieces = piecesOf(parts.filter(({ open }) => open !== true));
  const groups: Part[][] = [];
  /** Of each writer, how far in time its parts of the last group reach. */
  let reached = new Map<WriterId, number>();
  for (const piece of pieces) {
    const touches = [...reached].some(([writer, end]) => writer !== piece.writer && end >= piece.start);
    if (!touches) {
      groups.push([]);
      reached = new Map();
    }
    groups.at(-1)!.push(...piece.parts);
    reached.set(piece.writer, Math.max(reached.get(piece.writer) ?? -Infinity, piece.end));
  }
  for (const part of parts) if (part.open === true) groups.push([part]);
  let start = 0;
  return groups.map((group) => {
    const count = group.reduce((sum, part) => sum + part.count, 0);
    const block = { parts: group, start, count, key: group.map(keyOf).join('|') };
    start += count;
    return block;
  });
}

interface ConsolePiece {
  writer: WriterId;
  start: number;
  end: number;
  parts: Part[];
}

/** Parts of one piece together; by time, of one writer never against its ordinals, whatever its clock did. */
function piecesOf(parts: readonly Part[]): ConsolePiece[] {
  const writers = new Map<WriterId, Map<number, ConsolePiece>>();
  for (const part of parts) {
    const { writer, start, end, first = 0 } = part;
    const own = writers.get(writer) ?? new Map<number, ConsolePiece>();
    writers.set(writer, own);
    const piece = own.get(first);
    if (piece === undefined) own.set(first, { writer, start, end, parts: [part] });
    else {
      piece.parts.push(part);
      piece.start = Math.min(piece.start, start);
      piece.end = Math.max(piece.end, end);
    }
  }
  const all: ConsolePiece[] = [];
  for (const own of writers.values()) {
    let latest = -Infinity;
    for (const first of [...own.keys()].sort((a, b) => a - b)) {
      const piece = own.get(first)!;
      latest = Math.max(latest, piece.start);
      all.push({ ...piece, start: latest, end: Math.max(latest, piece.end) });
    }
  }
  // Stable, so that a writer's pieces keep their order at equal times.
  return all.sort((a, b) => a.start - b.start);
}

function keyOf({ writer, path, digest, first, count, picked }: Part): string {
  return `${writer} ${path} ${digest ?? 'tail'} ${first ?? 0} ${count}${picked === null ? '' : ` ${picked[0]}`}`;
}
