/** One place where two texts differ, in UTF-16 units of the older one: `removed` units at `at` become `inserted`. */
export interface Hunk {
  at: number;
  removed: number;
  inserted: string;
}

/** Differences beyond this many words are one hunk: the search takes their square. */
const DISTANCE_MAX = 1_000;
const WORDS = /[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu;

/**
 * What turns `before` into `after`, in order, by whole words (a run of letters and digits, a run of spaces, any other
 * character), so that nobody's word is woven of two; of a word into which something came, that alone. The answer is part of the protocol: replicas that find the same
 * edit must make the same of it. Never splits a surrogate pair.
 */
export function diffTexts(before: string, after: string): Hunk[] {
  if (before === after) return [];
  const a = before.match(WORDS) ?? [];
  const b = after.match(WORDS) ?? [];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail])
    tail += 1;
  const hunks: Hunk[] = [];
  let at = lengthOf(a, 0, head);
  for (const { removed, inserted } of script(a.slice(head, a.length - tail), b.slice(head, b.length - tail))) {
    const length = lengthOf(removed, 0, removed.length);
    if (inserted === null) {
      at += length;
      continue;
    }
    hunks.push(grown(at, removed.join(''), inserted.join('')));
    at += length;
  }
  return hunks;
}

/** Words into which something came, or from which something went, keep their other letters. */
function grown(at: number, before: string, after: string): Hunk {
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < most - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  // A pair of surrogates is one letter; words that are otherwise alike are two words.
  if (head + tail < most || isLow(before.charCodeAt(head)) || isLow(after.charCodeAt(head)))
    return { at, removed: before.length, inserted: after };
  return { at: at + head, removed: before.length - head - tail, inserted: after.slice(head, after.length - tail) };
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

/** A stretch of the older text that is kept (`inserted` is null), or goes for what is inserted. */
interface Stretch {
  removed: readonly string[];
  inserted: readonly string[] | null;
}

/** Myers' greedy algorithm; among equally short scripts the one that removes first. */
function script(a: readonly string[], b: readonly string[]): Stretch[] {
  if (a.length === 0 && b.length === 0) return [];
  if (a.length === 0 || b.length === 0) return [{ removed: a, inserted: b }];
  const limit = Math.min(a.length + b.length, DISTANCE_MAX);
  const size = 2 * limit + 2;
  const furthest = new Int32Array(size);
  const rounds: Int32Array[] = [];
  for (let distance = 0; distance <= limit; distance++) {
    rounds.push(furthest.slice());
    for (let diagonal = -distance; diagonal <= distance; diagonal += 2) {
      let x =
        diagonal === -distance ||
        (diagonal !== distance && furthest[diagonal - 1 + limit]! < furthest[diagonal + 1 + limit]!)
          ? furthest[diagonal + 1 + limit]!
          : furthest[diagonal - 1 + limit]! + 1;
      let y = x - diagonal;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x += 1;
        y += 1;
      }
      furthest[diagonal + limit] = x;
      if (x >= a.length && y >= b.length) return walkBack(a, b, rounds, limit);
    }
  }
  return [{ removed: a, inserted: b }];
}

function walkBack(a: readonly string[], b: readonly string[], rounds: readonly Int32Array[], limit: number): Stretch[] {
  /** Matched pairs, last first. */
  const matched: [number, number][] = [];
  let x = a.length;
  let y = b.length;
  for (let distance = rounds.length - 1; distance >= 0; distance--) {
    const furthest = rounds[distance]!;
    const diagonal = x - y;
    const down =
      diagonal === -distance ||
      (diagonal !== distance && furthest[diagonal - 1 + limit]! < furthest[diagonal + 1 + limit]!);
    const before = down ? diagonal + 1 : diagonal - 1;
    const fromX = distance === 0 ? 0 : furthest[before + limit]!;
    const fromY = distance === 0 ? 0 : fromX - before;
    const startX = distance === 0 ? 0 : down ? fromX : fromX + 1;
    while (x > startX) {
      x -= 1;
      y -= 1;
      matched.push([x, y]);
    }
    x = fromX;
    y = fromY;
  }
  const stretches: Stretch[] = [];
  let atA = 0;
  let atB = 0;
  for (const [matchA, matchB] of [...matched.reverse(), [a.length, b.length] as [number, number]]) {
    if (matchA > atA || matchB > atB) stretches.push({ removed: a.slice(atA, matchA), inserted: b.slice(atB, matchB) });
    if (matchA < a.length) stretches.push({ removed: [a[matchA]!], inserted: null });
    atA = matchA + 1;
    atB = matchB + 1;
  }
  return stretches;
}

function lengthOf(words: readonly string[], from: number, to: number): number {
  let length = 0;
  for (let index = from; index < to; index++) length += words[index]!.length;
  return length;
}
