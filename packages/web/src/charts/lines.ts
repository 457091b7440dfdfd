/**
 * What is drawn of one run in one panel, and the arithmetic of drawing it. uPlot does axes, zoom and crosshair; lines
 * are drawn here, because each run keeps its own x: no shared grid, no invented points, no gaps filled in.
 */
export interface Line {
  id: string;
  name: string;
  colour: string;
  /** Ascending. */
  x: Float64Array;
  /** As recorded. */
  raw: Float64Array;
  /** Smoothed, or the same array as `raw`. */
  y: Float64Array;
  /** Least and greatest of each bucket, when not every point is drawn. */
  band: { x: Float64Array; low: Float64Array; high: Float64Array } | null;
}

export interface Range {
  min: number;
  max: number;
}

/** The x of all lines; null when there is nothing to show. */
export function rangeX(lines: readonly Line[]): Range | null {
  let min = Infinity;
  let max = -Infinity;
  for (const { x } of lines) {
    if (x.length === 0) continue;
    min = Math.min(min, x[0]!);
    max = Math.max(max, x[x.length - 1]!);
  }
  return min > max ? null : { min, max };
}

/** Finite values within `[from, to]`, raw and smoothed; with `log`, positive ones. Null when there are none. */
export function rangeY(lines: readonly Line[], from: number, to: number, log: boolean): Range | null {
  let min = Infinity;
  let max = -Infinity;
  for (const { x, raw, y } of lines) {
    const end = upper(x, to);
    for (let index = lower(x, from); index < end; index++) {
      for (const value of raw === y ? [raw[index]!] : [raw[index]!, y[index]!]) {
        if (!Number.isFinite(value) || (log && value <= 0)) continue;
        if (value < min) min = value;
        if (value > max) max = value;
      }
    }
  }
  return min > max ? null : { min, max };
}

/**
 * The range without a few extremes that would press everything else flat: what lies twenty times further out than the
 * middle 96 % are wide. Says how many points lie beyond it; none when there are no such extremes. The caller tells.
 */
export function withoutOutliers(
  lines: readonly Line[],
  from: number,
  to: number,
  whole: Range,
): { range: Range; beyond: number } {
  const values: number[] = [];
  for (const { x, raw } of lines) {
    const end = upper(x, to);
    for (let index = lower(x, from); index < end; index++) if (Number.isFinite(raw[index]!)) values.push(raw[index]!);
  }
  const keep = { range: whole, beyond: 0 };
  if (values.length < 20) return keep;
  values.sort((a, b) => a - b);
  const low = values[Math.floor(values.length * 0.02)]!;
  const high = values[Math.ceil(values.length * 0.98) - 1]!;
  const far = 20 * (high - low);
  if (!(far > 0) || (whole.max - high <= far && low - whole.min <= far)) return keep;
  const near = values.filter((value) => value >= low - far && value <= high + far);
  return { range: { min: near[0]!, max: near[near.length - 1]! }, beyond: values.length - near.length };
}

/** A range with air at both ends, and some height even for a constant. */
export function padded({ min, max }: Range, log: boolean): Range {
  if (log)
    return min === max
      ? { min: min / 2, max: max * 2 }
      : { min: min / (max / min) ** 0.04, max: max * (max / min) ** 0.04 };
  if (min === max) {
    const air = Math.abs(min) * 0.1 || 1;
    return { min: min - air, max: max + air };
  }
  const air = (max - min) * 0.05;
  return { min: min - air, max: max + air };
}

/** About `count` round values from `min` to `max`: steps of 1, 2 or 5 times a power of ten, however large or small. */
export function niceTicks(min: number, max: number, count: number): number[] {
  const span = max - min;
  if (!(span > 0) || !Number.isFinite(span)) return [min];
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999) ?? 10 * power;
  const ticks: number[] = [];
  // Multiples, not sums: sums drift.
  for (let multiple = Math.ceil(min / step); multiple * step <= max + step * 1e-9 && ticks.length < 100; multiple++) {
    ticks.push(Number((multiple * step).toPrecision(12)));
  }
  return ticks;
}

/** Place of the point nearest to `x`; -1 in an empty line. */
export function nearest(line: Line, x: number): number {
  const { length } = line.x;
  if (length === 0) return -1;
  const at = lower(line.x, x);
  if (at === 0) return 0;
  if (at === length) return length - 1;
  return x - line.x[at - 1]! <= line.x[at]! - x ? at - 1 : at;
}

/** First place with `x[place] >= value`. */
export function lower(x: Float64Array, value: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (x[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** First place with `x[place] > value`. */
export function upper(x: Float64Array, value: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (x[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface Pen {
  context: CanvasRenderingContext2D;
  /** Canvas pixels of a value. */
  px: (x: number) => number;
  py: (y: number) => number;
  from: number;
  to: number;
  /** The plot's rectangle in canvas pixels. */
  box: { left: number; top: number; width: number; height: number };
  /** Canvas pixels per CSS pixel. */
  ratio: number;
  log: boolean;
}

/** Draws one line: envelope, raw behind when smoothed, the line, single points as dots, and crosses for NaN and infinities at the floor. */
export function drawLine(pen: Pen, line: Line, strength: number): void {
  const { context, ratio } = pen;
  context.strokeStyle = context.fillStyle = line.colour;
  context.lineJoin = 'round';
  if (line.band !== null) {
    context.globalAlpha = 0.14 * strength;
    fillBand(pen, line.band);
  }
  if (line.raw !== line.y) {
    context.globalAlpha = 0.28 * strength;
    context.lineWidth = ratio;
    stroke(pen, line.x, line.raw);
  }
  context.globalAlpha = strength;
  context.lineWidth = 1.5 * ratio;
  stroke(pen, line.x, line.y);
  crosses(pen, line);
  context.globalAlpha = 1;
}

function drawable(value: number, log: boolean): boolean {
  return Number.isFinite(value) && (!log || value > 0);
}

function stroke(pen: Pen, x: Float64Array, y: Float64Array): void {
  const { context, px, py, log, ratio } = pen;
  // One point more at each end, so that the line enters and leaves the frame.
  const start = Math.max(0, lower(x, pen.from) - 1);
  const end = Math.min(x.length, upper(x, pen.to) + 1);
  context.beginPath();
  let before = false;
  for (let index = start; index < end; index++) {
    if (!drawable(y[index]!, log)) {
      before = false;
      continue;
    }
    const [atX, atY] = [px(x[index]!), py(y[index]!)];
    if (before) context.lineTo(atX, atY);
    else {
      context.moveTo(atX, atY);
      const alone = index + 1 >= y.length || !drawable(y[index + 1]!, log);
      if (alone) {
        context.moveTo(atX + 2.2 * ratio, atY);
        context.arc(atX, atY, 2.2 * ratio, 0, 2 * Math.PI);
        context.moveTo(atX, atY);
      }
    }
    before = true;
  }
  context.stroke();
}

function fillBand(pen: Pen, band: NonNullable<Line['band']>): void {
  const { context, px, py, log } = pen;
  const start = Math.max(0, lower(band.x, pen.from) - 1);
  const end = Math.min(band.x.length, upper(band.x, pen.to) + 1);
  context.beginPath();
  let any = false;
  for (let index = start; index < end; index++) {
    if (!drawable(band.high[index]!, log)) continue;
    const [atX, atY] = [px(band.x[index]!), py(band.high[index]!)];
    if (any) context.lineTo(atX, atY);
    else context.moveTo(atX, atY);
    any = true;
  }
  for (let index = end - 1; index >= start; index--)
    if (drawable(band.low[index]!, log)) context.lineTo(px(band.x[index]!), py(band.low[index]!));
  context.closePath();
  context.fill();
}

function crosses(pen: Pen, { x, raw }: Line): void {
  const { context, px, box, ratio } = pen;
  const size = 2.5 * ratio;
  const y = box.top + box.height - 2 * size;
  context.lineWidth = ratio;
  context.beginPath();
  const end = upper(x, pen.to);
  for (let index = lower(x, pen.from); index < end; index++) {
    if (Number.isFinite(raw[index]!)) continue;
    const at = px(x[index]!);
    context.moveTo(at - size, y - size);
    context.lineTo(at + size, y + size);
    context.moveTo(at - size, y + size);
    context.lineTo(at + size, y - size);
  }
  context.stroke();
}
