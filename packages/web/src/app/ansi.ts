/** What terminals understand of a line: colours and weights. Everything else that a line would do to a terminal is left out. */

/** A stretch of a line that looks the same. */
export interface Span {
  text: string;
  /** A colour of the terminal's sixteen (0 to 15), or `#rrggbb`; null for the page's own. */
  fg: number | string | null;
  bg: number | string | null;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  strike: boolean;
  inverse: boolean;
}

type Look = Omit<Span, 'text'>;

const PLAIN: Look = {
  fg: null,
  bg: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  strike: false,
  inverse: false,
};

/** Sequences that a terminal obeys: colours and cursor (CSI), titles and links (OSC and their like), and the single ones. */
const ESCAPES = /\u001b(?:\[([0-?]*)[ -/]*([@-~])?|[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])?/g;
/** Other control characters: they have no look, or would change that of what follows. Tabs stay. */
const CONTROLS = /[\u0000-\u0008\u000a-\u001a\u001c-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/** The line as letters only: what is searched and copied. */
export function plainText(text: string): string {
  return (text.includes('\u001b') ? text.replace(ESCAPES, '') : text).replace(CONTROLS, '');
}

/** The line in stretches; an empty line has none. */
export function spansOf(text: string): Span[] {
  if (!text.includes('\u001b')) return text === '' ? [] : [{ ...PLAIN, text: text.replace(CONTROLS, '') }];
  const spans: Span[] = [];
  let look = PLAIN;
  let at = 0;
  const add = (until: number): void => {
    const piece = text.slice(at, until).replace(CONTROLS, '');
    if (piece !== '') spans.push({ ...look, text: piece });
  };
  for (const match of text.matchAll(ESCAPES)) {
    add(match.index);
    at = match.index + match[0].length;
    if (match[2] === 'm') look = selected(look, match[1] ?? '');
  }
  add(text.length);
  return spans;
}

/** Select Graphic Rendition: what its numbers make of the look. */
function selected(before: Look, parameters: string): Look {
  const look = { ...before };
  // A colon parts the numbers of one colour where a semicolon parts colours; both are written for the same.
  const codes = parameters === '' ? [0] : parameters.split(/[;:]/).map((code) => (code === '' ? 0 : Number(code)));
  for (let index = 0; index < codes.length; index++) {
    const code = codes[index]!;
    if (code === 0) Object.assign(look, PLAIN);
    else if (code === 1) look.bold = true;
    else if (code === 2) look.dim = true;
    else if (code === 3) look.italic = true;
    else if (code === 4 || code === 21) look.underline = true;
    else if (code === 7) look.inverse = true;
    else if (code === 9) look.strike = true;
    else if (code === 22) look.bold = look.dim = false;
    else if (code === 23) look.italic = false;
    else if (code === 24) look.underline = false;
    else if (code === 27) look.inverse = false;
    else if (code === 29) look.strike = false;
    else if (code >= 30 && code <= 37) look.fg = code - 30;
    else if (code >= 90 && code <= 97) look.fg = code - 82;
    else if (code === 39) look.fg = null;
    else if (code >= 40 && code <= 47) look.bg = code - 40;
    else if (code >= 100 && code <= 107) look.bg = code - 92;
    else if (code === 49) look.bg = null;
    else if (code === 38 || code === 48) {
      const { colour, used } = extended(codes, index + 1);
      if (colour !== undefined) look[code === 38 ? 'fg' : 'bg'] = colour;
      index += used;
    }
  }
  return look;
}

/** `5;n` of the 256, or `2;r;g;b`. */
function extended(codes: readonly number[], at: number): { colour: number | string | undefined; used: number } {
  if (codes[at] === 5) return { colour: indexed(codes[at + 1]), used: 2 };
  if (codes[at] !== 2) return { colour: undefined, used: 0 };
  const parts = codes.slice(at + 1, at + 4);
  const fits = parts.length === 3 && parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255);
  return { colour: fits ? hex(parts) : undefined, used: 4 };
}

function indexed(index: number | undefined): number | string | undefined {
  if (index === undefined || !Number.isInteger(index) || index < 0 || index > 255) return undefined;
  if (index < 16) return index;
  if (index >= 232) return hex(Array.from({ length: 3 }, () => 8 + (index - 232) * 10));
  const cube = index - 16;
  return hex(
    [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((step) => (step === 0 ? 0 : 55 + step * 40)),
  );
}

function hex(parts: readonly number[]): string {
  return `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}
