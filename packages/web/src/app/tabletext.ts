import { duration } from './format.ts';
import type { Cell } from '../worker/api.ts';

/** A table as text: for a spreadsheet or for a page of Markdown. */
export type TextFormat = 'csv' | 'markdown';

export function headOf(format: TextFormat, titles: readonly string[]): string {
  if (format === 'csv') return `${titles.map(csvCell).join(',')}\r\n`;
  return `| ${titles.map(markdownCell).join(' | ')} |\n|${titles.map(() => '---').join('|')}|\n`;
}

export function rowsOf(format: TextFormat, rows: readonly (readonly Cell[])[], columns: readonly string[]): string {
  if (format === 'csv')
    return rows.map((row) => `${row.map((cell, at) => csvCell(figureText(cell, columns[at]))).join(',')}\r\n`).join('');
  return rows
    .map((row) => `| ${row.map((cell, at) => markdownCell(cellText(cell, columns[at]))).join(' | ')} |\n`)
    .join('');
}

/** A column's title. Where numbers stand without their unit, it has it. */
export function titleOf(format: TextFormat, column: string, words: string): string {
  return format === 'csv' && column === 'duration' ? `${words} (s)` : words;
}

/** As `cellText`, for a program that reads numbers: a duration is its seconds alone. */
function figureText(cell: Cell, column: string | undefined): string {
  return typeof cell === 'number' && column === 'duration' ? String(cell / 1_000) : cellText(cell);
}

/** One cell for the clipboard: all its digits; a duration as the table shows it, for its milliseconds would say nothing. */
export function copiedText(value: Cell, column: string): string {
  return typeof value === 'number' && column === 'duration' ? duration(value) : cellText(value);
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
