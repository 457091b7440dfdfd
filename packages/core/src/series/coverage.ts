/**
 * Who says which points. The same journal may have been taken in by several devices that sealed at different places,
 * so sources (segments, tail entries) of one writer may overlap; a point's identity is (writer, ordinal), so each
 * ordinal is read from exactly one source that covers it.
 */
export interface Source {
  /** First and last ordinal covered, inclusive: every point between them is in the source. */
  first: number;
  last: number;
}

/** The points of `source` with ordinals in `[from, to]`. `whole` when that is all of them. */
export interface Piece<S extends Source> {
  source: S;
  from: number;
  to: number;
  whole: boolean;
}

/**
 * Divides the covered ordinals among the sources: earlier ones in `preferred` order take all they cover, later ones what
 * is left. Pieces come in ordinal order and never overlap. O(n log n) unless sources interleave heavily.
 */
export function divide<S extends Source>(sources: readonly S[], preferred: (a: S, b: S) => number): Piece<S>[] {
  /** Disjoint, sorted by `from`. */
  const claimed: Piece<S>[] = [];
  for (const source of [...sources].sort(preferred)) {
    let from = source.first;
    let index = firstEndingAtOrAfter(claimed, from);
    const fresh: Piece<S>[] = [];
    while (from <= source.last) {
      const next = claimed[index];
      const to = next === undefined ? source.last : Math.min(source.last, next.from - 1);
      if (to >= from) fresh.push({ source, from, to, whole: from === source.first && to === source.last });
      if (next === undefined) break;
      from = next.to + 1;
      index++;
    }
    // Pieces of one source lie between claimed ones; inserting from the back keeps the indexes valid.
    for (const piece of fresh.reverse()) claimed.splice(firstEndingAtOrAfter(claimed, piece.from), 0, piece);
  }
  return claimed;
}

function firstEndingAtOrAfter(pieces: readonly { to: number }[], ordinal: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pieces[middle]!.to < ordinal) low = middle + 1;
    else high = middle;
  }
  return low;
}
