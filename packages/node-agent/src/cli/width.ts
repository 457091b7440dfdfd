/**
 * Columns that text takes on a terminal: wide East Asian characters and emoji take two, marks and joiners none.
 * Ranges are the Wide and Fullwidth blocks of Unicode's EastAsianWidth, by block rather than by character.
 */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of segments(text)) width += segmentWidth(segment);
  return width;
}

/** At most `columns` wide, with an ellipsis where something was cut; never half a character. */
export function fitWidth(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  if (columns <= 0) return '';
  let cut = '';
  let width = 0;
  for (const { segment } of segments(text)) {
    const next = segmentWidth(segment);
    if (width + next > columns - 1) break;
    cut += segment;
    width += next;
  }
  return `${cut}…`;
}

export function padWidth(text: string, columns: number, right: boolean): string {
  const padding = ' '.repeat(Math.max(0, columns - displayWidth(text)));
  return right ? padding + text : text + padding;
}

/** Text that somebody else chose, as one line that cannot move the cursor or change colours. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g, ' ');
}

/** Several lines of somebody else's text; nothing in it may move the cursor or change colours. */
export function manyLines(text: string): string {
  return text.trimEnd().replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '');
}

let segmenter: Intl.Segmenter | undefined;

function segments(text: string): Iterable<{ segment: string }> {
  // Plain ASCII, which nearly everything is, needs no segmenter and not its 10 ms of start.
  if (/^[\u0000-\u007f]*$/.test(text)) return [...text].map((segment) => ({ segment }));
  segmenter ??= new Intl.Segmenter(undefined, { granularity: 'grapheme' });
  return segmenter.segment(text);
}

function segmentWidth(segment: string): number {
  const code = segment.codePointAt(0)!;
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return 0;
  if (code < 0x300) return 1;
  if (/^[\p{Mn}\p{Me}\p{Cf}]$/u.test(segment)) return 0;
  if (/\p{Emoji_Presentation}|\ufe0f/u.test(segment)) return 2;
  return WIDE.some(([first, last]) => code >= first && code <= last) ? 2 : 1;
}

const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
];
