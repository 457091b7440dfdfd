import type { Cell } from '../worker/api.ts';

/** A table as text: for a spreadsheet or for a page of Markdown. */
export type TextFormat = 'csv' | 'markdown';

export function headOf(format: TextFormat, titles: readonly string[]): string {
  if (format === 'csv') return `${titles.map(csvCell).join(',')}\r\n`;
  return `| ${titles.map(markdownCell).join(' | ')} |\n|${titles.map(() => '---').join('|')}|\n`;
}

export function rowsOf(format: TextFormat, rows: readonly (readonly Cell[])[], columns: readonly string[]): string {
  if (format === 'csv')
    return rows.map((row) => `${row.map((cell) => csvCell(cellText(cell))).join(',')}\r\n`).join('');
  return rows
    .map((row) => `| ${row.map((cell, at) => markdownCell(cellText(cell, columns[at]))).join(' | ')} |\n`)
    .join('');
}

/** All digits of a number, times in ISO 8601, lists joined by `, `; empty where there is nothing. */
export function cellText(cell: Cell, column?: string): string {
  if (cell === undefined) return '';
  if (typeof cell === 'number') return column === 'duration' ? `${cell / 1_000} s` : String(cell);
  if (cell === null || typeof cell === 'boolean') return String(cell);
  if (typeof cell === 'string') return cell;
  if ('time' in cell) return new Date(cell.time).toISOString();
  return Array.isArray(cell) ? cell.join(', ') : JSON.stringify(cell);
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** RFC 4180. A text that a spreadsheet would run as a formula gets an apostrophe before it; a number stays a number. */
export function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) && !NUMBER.test(text) && text !== '-Infinity' ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function markdownCell(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('|', '\\|')
    .replaceAll(/\s*[\r\n]+\s*/g, ' ')
    .trim();
}
