/** First and last of the lines that are marked, from 0. */
export type Marked = readonly [first: number, last: number];

/** The lines that an address or a person names, from 1: `12`, or `10-20`; null for anything else. */
export function readMarked(text: string | null): Marked | null {
  const match = /^\s*(\d{1,9})\s*(?:[-–]\s*(\d{1,9})\s*)?$/.exec(text ?? '');
  if (match === null) return null;
  const from = Number(match[1]);
  const to = Number(match[2] ?? match[1]);
  return from < 1 || to < from ? null : [from - 1, to - 1];
}

/** How an address names them. */
export function writeMarked([first, last]: Marked): string {
  return first === last ? String(first + 1) : `${first + 1}-${last + 1}`;
}

/** Those of them that a console of `count` lines has: its last line, where they lie beyond. */
export function markedWithin([first, last]: Marked, count: number): Marked {
  return [Math.min(first, count - 1), Math.min(last, count - 1)];
}
