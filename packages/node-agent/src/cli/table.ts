import type { Terminal } from './terminal.ts';
import { paint } from './terminal.ts';
import { displayWidth, fitWidth, oneLine, padWidth } from './width.ts';

export interface Column<Row> {
  title: string;
  /** Numbers to the right. */
  right?: boolean;
  /** May be cut when the terminal is narrow; the others never are. */
  shrink?: boolean;
  text(row: Row): string;
  style?(row: Row, text: string): string;
}

const GAP = '  ';
/** Below this a column says nothing. */
const LEAST = 8;

/** Rows under titles, aligned. On a terminal columns that may shrink are cut to fit; in a pipe nothing is cut. */
export function table<Row>(terminal: Terminal, columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const titles = columns.map((column) => oneLine(column.title));
  const cells = rows.map((row) => columns.map((column) => oneLine(column.text(row))));
  const widths = titles.map((_, index) =>
    cells.reduce((most, row) => Math.max(most, displayWidth(row[index]!)), displayWidth(titles[index]!)),
  );
  if (terminal.interactive) shrink(widths, columns, terminal.columns);
  const line = (texts: readonly string[], style: (text: string, index: number) => string): string =>
    texts
      .map((text, index) => {
        const fitted = fitWidth(text, widths[index]!);
        const last = index === texts.length - 1 && columns[index]!.right !== true;
        const padded = last ? fitted : padWidth(fitted, widths[index]!, columns[index]!.right === true);
        return style(padded, index);
      })
      .join(GAP)
      .trimEnd();
  const head = line(titles, (text) => paint(terminal, 'dim', text));
  const body = rows.map((row, at) => line(cells[at]!, (text, index) => columns[index]!.style?.(row, text) ?? text));
  return `${[head, ...body].join('\n')}\n`;
}

function shrink<Row>(widths: number[], columns: readonly Column<Row>[], available: number): void {
  const total = (): number => widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1);
  while (total() > available) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      if (column.shrink === true && widths[index]! > LEAST && (widest === -1 || widths[index]! > widths[widest]!))
        widest = index;
    }
    if (widest === -1) return;
    widths[widest]! -= 1;
  }
}

/** `label  value` lines with the labels aligned. On a terminal a long value goes on below itself, at a space where there is one. */
export function facts(terminal: Terminal, lines: readonly (readonly [label: string, value: string | null])[]): string {
  const shown = lines.flatMap(([label, value]) => (value === null ? [] : [[oneLine(label), oneLine(value)] as const]));
  const width = shown.reduce((most, [label]) => Math.max(most, displayWidth(label)), 0);
  const room = terminal.columns - width - GAP.length;
  return shown
    .map(([label, value]) => {
      const [first, ...rest] = terminal.interactive && room >= LEAST_VALUE ? wrap(value, room) : [value];
      const below = rest.map((line) => `${' '.repeat(width)}${GAP}${line}\n`).join('');
      return `${paint(terminal, 'dim', padWidth(label, width, false))}${GAP}${first}\n${below}`;
    })
    .join('');
}

/** Narrower than this, lines are left to the terminal. */
const LEAST_VALUE = 24;

/** Text in lines of at most so many columns. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(/(?<= )(?=[^ ])/)) {
    if (line !== '' && displayWidth(line) + displayWidth(word.trimEnd()) > columns) {
      lines.push(line.trimEnd());
      line = '';
    }
    while (displayWidth(word.trimEnd()) > columns) {
      // Without the ellipsis, and so without cutting a character.
      const part = fitWidth(word, columns).slice(0, -1);
      lines.push(part);
      word = word.slice(part.length);
    }
    line += word;
  }
  return [...lines, line.trimEnd()];
}
