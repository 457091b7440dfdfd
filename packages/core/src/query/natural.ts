const DIGITS = /\d+/g;

/**
 * A text whose plain code-unit order is the natural order of `text`: `run2` before `run10`, letters whatever their
 * case, the same on every machine. A run of digits becomes `0`, its length, its digits; the text itself at the end
 * tells equals apart.
 */
export function naturalKey(text: string): string {
  const lower = text.toLowerCase();
  const key = lower.replace(DIGITS, (run) => {
    const digits = run.replace(/^0+(?=.)/, '');
    return `0${String.fromCharCode(digits.length)}${digits}`;
  });
  return `${key}\0${text}`;
}

/** Negative, zero or positive, as `Array.prototype.sort` wants it. */
export function compareNatural(a: string, b: string): number {
  if (a === b) return 0;
  return naturalKey(a) < naturalKey(b) ? -1 : 1;
}
