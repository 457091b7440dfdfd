/** @typedef {import('./harness.ts').Row} Row */

const HEADS = ['system', 'case', 'figure', 'value', 'spread', 'durability', 'note'];
const RIGHT = new Set(['value', 'spread']);

/**
 * Rows as a table for a person.
 *
 * @param {readonly Row[]} rows
 * @returns {string}
 */
export function table(rows) {
  const cells = rows.map((row) => [
    row.system,
    row.case,
    row.figure,
    row.value === null ? '–' : short(row.value),
    row.spread === undefined ? '' : `${short(row.spread[0])} … ${short(row.spread[1])}`,
    row.durability ?? '',
    row.note ?? '',
  ]);
  // A column that nobody fills is not shown.
  const columns = HEADS.map((_, n) => n).filter((n) => cells.some((line) => line[n] !== ''));
  const widths = columns.map((n) => Math.max(...[HEADS, ...cells].map((line) => (line[n] ?? '').length)));
  /** @param {readonly string[]} line */
  const print = (line) =>
    columns
      .map((n, k) => {
        const text = line[n] ?? '';
        return RIGHT.has(HEADS[n] ?? '') ? text.padStart(widths[k] ?? 0) : text.padEnd(widths[k] ?? 0);
      })
      .join('  ')
      .trimEnd();
  return [print(HEADS), widths.map((width) => '─'.repeat(width)).join('  '), ...cells.map(print)].join('\n');
}

/**
 * A number with three significant digits or all its whole ones.
 *
 * @param {number} value
 */
export function short(value) {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
