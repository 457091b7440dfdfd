import type { Cell } from '../worker/api.ts';
import type { GroupCell, SummaryKind } from '../worker/groups-api.ts';
import { copiedText } from './tabletext.ts';

/** How the parts of a group's cell are written. */
export interface Wording {
  /** The value that all its runs have. */
  value: (value: Cell) => string;
  /** A number or a time of the summary. */
  figure: (value: number, time: boolean) => string;
  deviation: (value: number) => string;
}

/** What a group says of a column: the value that all share, how many there are, or the summary of numbers. Empty for nothing. */
export function groupText(cell: GroupCell | undefined, summary: SummaryKind, wording: Wording): string {
  if (cell === null || cell === undefined) return '';
  if (cell.kind === 'same') return wording.value(cell.value);
  if (cell.kind === 'several') return `${cell.distinct}${cell.more ? '+' : ''} values`;
  const { time, mean, std, min, max, best } = cell;
  const figure = (value: number): string => wording.figure(value, time);
  if (min === max) return figure(min);
  if (summary === 'range') return `${figure(min)} – ${figure(max)}`;
  if (summary === 'best') return best === null ? '' : figure(best.value);
  if (time || std === null) return figure(mean);
  return `${figure(mean)} ± ${wording.deviation(std)}`;
}

/** The same for the clipboard: with all digits. */
export function copiedGroupText(cell: GroupCell | undefined, column: string, summary: SummaryKind): string {
  return groupText(cell, summary, {
    value: (value) => copiedText(value, column),
    figure: (value, time) => copiedText(time ? { time: value } : value, column),
    deviation: (value) => copiedText(value, column),
  });
}
