/**
 * A text whose plain code-unit order is the natural order of `text`: `run2` before `run10`, letters whatever their
 * case, the same on every machine. A run of digits becomes `0`, its length, its digits; the text itself at the end
 * tells equals apart.
 */
export function naturalKey(text: string): string {
  const lower = text.toLowerCase();
  let key = '';
  let copied = 0;
  // By hand: a replacement with a callback takes five times as long, and names are sorted by the hundred thousand.
  for (let index = 0; index < lower.length; index++) {
    if (!isDigit(lower.charCodeAt(index))) continue;
    const from = index;
    while (index < lower.length && isDigit(lower.charCodeAt(index))) index += 1;
    let first = from;
    while (first < index - 1 && lower.charCodeAt(first) === ZERO) first += 1;
    key += `${lower.slice(copied, from)}0${String.fromCharCode(index - first)}${lower.slice(first, index)}`;
    copied = index;
  }
  return `${key}${lower.slice(copied)}\0${text}`;
}

const ZERO = 0x30;

function isDigit(code: number): boolean {
  return code >= ZERO && code <= 0x39;
}

/** Negative, zero or positive, as `Array.prototype.sort` wants it. */
export function compareNatural(a: string, b: string): number {
  if (a === b) return 0;
  return naturalKey(a) < naturalKey(b) ? -1 : 1;
}
