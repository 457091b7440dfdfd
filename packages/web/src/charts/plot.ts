import uPlot from 'uplot';
import type { Line, Range } from './lines.ts';
import { drawLine, niceTicks, padded, rangeX, rangeY, withoutOutliers } from './lines.ts';

export interface PlotOptions {
  element: HTMLElement;
  width: number;
  height: number;
  /** The person dragged over a stretch of x, or (null) asked for all of it. */
  onzoom: (range: Range | null) => void;
  /** The crosshair moved: x and y of the pointer as values, and its place; null when it left. */
  oncursor: (at: { x: number; y: number; left: number; top: number } | null) => void;
}

export interface PlotState {
  lines: readonly Line[];
  x: 'step' | 'relative' | 'time';
  log: boolean;
  zoom: Range | null;
  highlighted: string | null;
  /** Far extremes do not count for the height. */
  clip: boolean;
}

/** Charts of one page share their crosshair. */
const SYNC = 'fieldbook';

/** A uPlot whose lines we draw. Lives as long as its panel is mounted. */
export class Plot {
  readonly #plot: uPlot;
  #state: PlotState = { lines: [], x: 'step', log: false, zoom: null, highlighted: null, clip: false };
  #setting = false;

  constructor({ element, width, height, onzoom, oncursor }: PlotOptions) {
    const inks = (name: string) => (): string => getComputedStyle(element).getPropertyValue(name).trim();
    const font = `11px ${getComputedStyle(element).fontFamily}`;
    const axis = {
      stroke: inks('--ink-3'),
      font,
      grid: { stroke: inks('--rule'), width: 1 },
      ticks: { stroke: inks('--rule-2'), width: 1, size: 4 },
    };
    this.#plot = onCpuCanvas(
      () =>
        new uPlot(
          {
            width,
            height,
            legend: { show: false },
            padding: [10, 12, 0, 0],
            scales: {
              x: { time: false, range: () => this.#rangeX() },
              y: { range: () => this.#rangeY(), distr: 1 },
              log: { range: () => this.#rangeY(), distr: 3, log: 10 },
            },
            axes: [
              {
                ...axis,
                size: 24,
                gap: 4,
                space: 64,
                values: (_plot, ticks) => ticks.map((tick) => this.#tickX(tick, ticks)),
              },
              {
                ...axis,
                scale: 'y',
                size: 52,
                gap: 4,
                show: true,
                splits: (plot, _axis, min, max) => niceTicks(min, max, plot.bbox.height / uPlot.pxRatio / 36),
                values: (_plot, ticks) => ticks.map(tickY),
              },
              {
                ...axis,
                scale: 'log',
                size: 52,
                gap: 4,
                space: 24,
                show: false,
                values: (_plot, ticks) => ticks.map((tick) => (tick === null ? '' : tickY(tick))),
              },
            ],
            // uPlot draws nothing of these; they tie the scales to an axis each.
            series: [
              {},
              { scale: 'y', paths: () => null, points: { show: false } },
              { scale: 'log', paths: () => null, points: { show: false } },
            ],
            cursor: {
              y: false,
              points: { show: false },
              sync: { key: SYNC, scales: ['x', null] },
              drag: { x: true, y: false, setScale: false },
              bind: { dblclick: () => () => (onzoom(null), null) },
            },
            hooks: {
              draw: [() => this.#draw()],
              setSelect: [
                (plot) => {
                  if (this.#setting || plot.select.width < 4) return;
                  const range = {
                    min: plot.posToVal(plot.select.left, 'x'),
                    max: plot.posToVal(plot.select.left + plot.select.width, 'x'),
                  };
                  this.#setting = true;
                  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
                  this.#setting = false;
                  onzoom(range);
                },
              ],
              setCursor: [
                (plot) => {
                  const { left = -1, top = -1 } = plot.cursor;
                  if (left < 0) oncursor(null);
                  else
                    oncursor({
                      x: plot.posToVal(left, 'x'),
                      y: plot.posToVal(Math.max(0, top), this.#state.log ? 'log' : 'y'),
                      left,
                      top,
                    });
                },
              ],
            },
          },
          [
            [0, 1],
            [null, null],
            [null, null],
          ],
          element,
        ),
    );
  }

  show(state: PlotState): void {
    const logChanged = state.log !== this.#state.log;
    this.#state = state;
    if (logChanged) {
      const [, plain, log] = this.#plot.axes;
      plain!.show = !state.log;
      log!.show = state.log;
    }
    const { min, max } = this.#rangeOfX();
    this.#plot.setData([
      [min, max],
      [null, null],
      [null, null],
    ]);
  }

  resize(width: number, height: number): void {
    if (width !== this.#plot.width || height !== this.#plot.height) this.#plot.setSize({ width, height });
  }

  redraw(): void {
    this.#plot.redraw(false, true);
  }

  /** Where the plot's area begins in its element, in CSS pixels. */
  get offset(): { left: number; top: number } {
    return { left: this.#plot.over.offsetLeft, top: this.#plot.over.offsetTop };
  }

  /** CSS pixels of a value from the plot's top. */
  topOf(value: number): number {
    return this.#plot.valToPos(value, this.#state.log ? 'log' : 'y');
  }

  get canvas(): HTMLCanvasElement {
    return this.#plot.ctx.canvas;
  }

  destroy(): void {
    this.#plot.destroy();
  }

  #rangeOfX(): Range {
    const range = this.#state.zoom ?? rangeX(this.#state.lines) ?? { min: 0, max: 1 };
    return range.min === range.max ? { min: range.min - 0.5, max: range.max + 0.5 } : range;
  }

  #rangeX(): [number, number] {
    const { min, max } = this.#rangeOfX();
    return [min, max];
  }

  #rangeY(): [number, number] {
    const { lines, log, clip } = this.#state;
    const { min, max } = this.#rangeOfX();
    const whole = rangeY(lines, min, max, log);
    const found = whole === null || !clip || log ? whole : withoutOutliers(lines, min, max, whole).range;
    const range = found === null ? (log ? { min: 0.1, max: 1 } : { min: 0, max: 1 }) : padded(found, log);
    return [range.min, range.max];
  }

  #tickX(tick: number, ticks: readonly number[]): string {
    if (this.#state.x === 'time') {
      const span = (ticks.at(-1) ?? tick) - (ticks[0] ?? tick);
      const at = new Date(tick);
      const two = (value: number): string => String(value).padStart(2, '0');
      if (span > 3 * 86_400_000) return `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      return span > 300_000
        ? `${two(at.getHours())}:${two(at.getMinutes())}`
        : `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
    }
    if (this.#state.x === 'relative') {
      const span = ticks.at(-1) ?? tick;
      if (span >= 2 * 3_600_000) return `${trimmed(tick / 3_600_000)} h`;
      return span >= 120_000 ? `${trimmed(tick / 60_000)} min` : `${trimmed(tick / 1_000)} s`;
    }
    return tickY(tick);
  }

  #draw(): void {
    const plot = this.#plot;
    const { lines, log, highlighted } = this.#state;
    const { left, top, width, height } = plot.bbox;
    const scale = log ? 'log' : 'y';
    const { min, max } = this.#rangeOfX();
    const context = plot.ctx;
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    const pen = {
      context,
      px: (x: number) => plot.valToPos(x, 'x', true),
      py: (y: number) => plot.valToPos(y, scale, true),
      from: min,
      to: max,
      box: { left, top, width, height },
      ratio: uPlot.pxRatio,
      log,
    };
    // The first run is on top: it is the one chosen first.
    for (const line of [...lines].reverse())
      if (line.id !== highlighted) drawLine(pen, line, highlighted === null ? 1 : 0.3);
    const front = lines.find((line) => line.id === highlighted);
    if (front !== undefined) drawLine(pen, front, 1);
    context.restore();
  }
}

function tickY(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3)
    return value
      .toExponential()
      .replace('e+', 'e')
      .replace(/(\.\d\d)\d+/, '$1');
  return size >= 10_000 ? `${trimmed(value / 1_000)}k` : trimmed(value);
}

function trimmed(value: number): string {
  return String(Number(value.toPrecision(6)));
}

let cpu: boolean | null = null;

/**
 * Where the browser paints canvases on a software GPU, one frame can take seconds; a canvas that is read back often
 * stays on the CPU, and then the same frame takes milliseconds. uPlot makes its own canvas, so the hint is given here.
 */
function onCpuCanvas<T>(make: () => T): T {
  cpu ??= hasSoftwareGpu();
  if (!cpu) return make();
  const prototype = HTMLCanvasElement.prototype;
  const original = prototype.getContext;
  prototype.getContext = function (this: HTMLCanvasElement, kind: string, options?: unknown) {
    return Reflect.apply(original, this, [kind, kind === '2d' ? { willReadFrequently: true } : options]) as never;
  } as typeof original;
  try {
    return make();
  } finally {
    prototype.getContext = original;
  }
}

function hasSoftwareGpu(): boolean {
  try {
    const gl = document.createElement('canvas').getContext('webgl');
    if (gl === null) return true;
    const info = gl.getExtension('WEBGL_debug_renderer_info');
    const name = String(gl.getParameter(info === null ? gl.RENDERER : info.UNMASKED_RENDERER_WEBGL));
    gl.getExtension('WEBGL_lose_context')?.loseContext();
    return /swiftshader|llvmpipe|software|basic render/i.test(name);
  } catch {
    return true;
  }
}
