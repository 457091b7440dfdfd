import { rowsWithin } from '../../worker/charts/places.ts';
import type { Line, Range } from '../line.ts';
import { drawLine, projection } from '../painter.ts';
import type { Axis } from '../settings.ts';
import { ticksOf, tickWords } from '../quantity.ts';
import { nameX, tickX, ticksX } from '../ticks.ts';
import { escaped, VectorBrush } from './vector.ts';

/** A chart to be saved: what is on screen, with its title, its legend and what it says of itself. */
export interface Figure {
  title: string;
  unit: string | null;
  axis: Axis;
  logX: boolean;
  logY: boolean;
  x: Range;
  y: Range;
  lines: readonly Line[];
  envelope: boolean;
  /** What is not shown as it is. */
  says: readonly string[];
  colours: FigureColours;
}

export interface FigureColours {
  paper: string;
  ink: string;
  fine: string;
  rule: string;
  /** Of a line's colour as it is on screen. */
  of: (colour: string) => string;
}

export const FIGURE = { width: 720, height: 420 };
const LEFT = 64;
const RIGHT = 16;
const TOP = 34;
const BOTTOM = 44;
const LEGEND_ROW = 16;
const LEGEND_WIDTH = 216;
/** Names of a legend; a figure of a hundred runs says how many more there are. */
const LEGEND_MOST = 30;
const FACE = 'system-ui, sans-serif';

/** A standalone SVG of a figure. */
export function figureSvg(figure: Figure): string {
  const { title, unit, axis, logX, logY, x, y, lines, envelope, says, colours } = figure;
  const { width, height } = FIGURE;
  const [wide, high] = [width - LEFT - RIGHT, height - TOP - BOTTOM];
  const px = projection(x.min, x.max, 0, wide, logX);
  const py = projection(y.min, y.max, high, 0, logY);
  const brush = new VectorBrush();
  for (let index = lines.length - 1; index >= 0; index--) {
    const line = lines[index]!;
    const place = { px, py, from: x.min, to: x.max, width: wide, height: high, ratio: 1, logX, logY };
    drawLine(brush, place, { ...line, colour: colours.of(line.colour) }, { envelope });
  }
  const text = (atX: number, atY: number, words: string, options = ''): string =>
    `<text x="${atX}" y="${atY}" fill="${colours.fine}" font-size="11" ${options}>${escaped(words)}</text>`;
  const parts: string[] = [];
  const alongX = ticksX(axis, logX, x.min, x.max, wide / 90);
  for (const tick of alongX) {
    const at = LEFT + px(tick);
    parts.push(
      `<path d="M${at} ${TOP}V${TOP + high}" stroke="${colours.rule}"/>`,
      text(at, TOP + high + 16, tickX(axis, tick, alongX), 'text-anchor="middle"'),
    );
  }
  const alongY = ticksOf(unit, logY, y.min, y.max, high / 36);
  const wordsY = tickWords(unit, alongY);
  for (const [index, tick] of alongY.entries()) {
    const at = TOP + py(tick);
    parts.push(
      `<path d="M${LEFT} ${at}H${LEFT + wide}" stroke="${colours.rule}"/>`,
      text(LEFT - 6, at + 4, wordsY[index]!, 'text-anchor="end"'),
    );
  }
  parts.push(
    `<text x="${LEFT}" y="20" fill="${colours.ink}" font-size="14" font-weight="600">${escaped(title)}${unit === null ? '' : ` <tspan font-weight="400" fill="${colours.fine}">${escaped(unit)}</tspan>`}</text>`,
    text(LEFT + wide, TOP + high + 34, nameX(axis), 'text-anchor="end"'),
  );
  const columns = Math.max(1, Math.floor((width - LEFT - RIGHT) / LEGEND_WIDTH));
  const named = lines.slice(0, LEGEND_MOST);
  let below = height + 4;
  for (const [index, line] of named.entries()) {
    const atX = LEFT + (index % columns) * LEGEND_WIDTH;
    const atY = below + Math.floor(index / columns) * LEGEND_ROW;
    const dash = line.dash.length === 0 ? '' : ` stroke-dasharray="${line.dash.join(' ')}"`;
    parts.push(
      `<path d="M${atX} ${atY}h18" stroke="${escaped(colours.of(line.colour))}" stroke-width="2"${dash}/>`,
      text(atX + 24, atY + 4, line.name.length > 32 ? `${line.name.slice(0, 31)}…` : line.name),
    );
  }
  below += Math.ceil(named.length / columns) * LEGEND_ROW;
  for (const words of [...(lines.length > named.length ? [`and ${lines.length - named.length} more`] : []), ...says]) {
    parts.push(text(LEFT, below + 4, words));
    below += LEGEND_ROW;
  }
  const whole = below + 8;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${whole}" viewBox="0 0 ${width} ${whole}" font-family="${FACE}">` +
    `<rect width="100%" height="100%" fill="${colours.paper}"/>` +
    parts.join('') +
    `<svg x="${LEFT}" y="${TOP}" width="${wide}" height="${high}" overflow="hidden">${brush.markup}</svg></svg>`
  );
}

/** Rows of what is drawn: each line's points, or the corners of its buckets, within a stretch of x. */
export function drawnRows({
  axis,
  x: stretch,
  lines,
}: Pick<Figure, 'axis' | 'x' | 'lines'>): (string | number | null)[][] {
  const group = lines.some(({ runs }) => runs !== null);
  const smoothed = lines.some(({ smooth }) => smooth !== null);
  const rows: (string | number | null)[][] = [
    [
      group ? 'group' : 'run',
      'id',
      'metric',
      nameX(axis),
      'value',
      ...(group ? ['low', 'high', 'runs', 'runs with NaN or infinity'] : []),
      ...(smoothed ? ['curve'] : []),
    ],
  ];
  const { min, max } = stretch;
  for (const { id, name, metric, ascending, x, y, band, runs, oddRuns, smooth } of lines) {
    for (const row of rowsWithin(x, min, max, ascending))
      rows.push([
        name,
        id,
        metric,
        x[row]!,
        said(y[row]!),
        ...(group ? [said(band?.low[row]), said(band?.high[row]), runs?.[row] ?? null, oddRuns?.[row] ?? null] : []),
        ...(smoothed ? ['recorded'] : []),
      ]);
    if (smooth === null) continue;
    for (const row of rowsWithin(smooth.x, min, max, ascending))
      rows.push([name, id, metric, smooth.x[row]!, said(smooth.y[row]!), 'smoothed']);
  }
  return rows;
}

/** NaN and infinities as words: an empty cell would say that nothing was recorded. */
export function said(value: number | undefined): string | number | null {
  if (value === undefined) return null;
  return Number.isFinite(value) ? value : Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}
