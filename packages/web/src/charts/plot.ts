import uPlot from 'uplot';
import type { Line, Range } from './line.ts';
import { padded, rangeX, rangeY } from './line.ts';
import type { Place } from './painter.ts';
import { drawLine, isCrowded, projection } from './painter.ts';
import type { Axis } from './settings.ts';
import { followFingers } from './fingers.ts';
import { ticksOf, tickWords } from './quantity.ts';
import { tickX, ticksX } from './ticks.ts';
import { Persisted } from '../state/persisted.svelte.ts';

export interface Pointer {
  x: number;
  y: number;
  /** CSS pixels within the plot's area. */
  left: number;
  top: number;
}

export interface PlotOptions {
  element: HTMLElement;
  width: number;
  height: number;
  /** The person chose a stretch of x, or (null) asked for all of it. */
  onzoom: (range: Range | null) => void;
  /** The crosshair moved; null when it left. */
  oncursor: (at: Pointer | null) => void;
  /** A click that was no drag. */
  onclick: () => void;
}

export interface PlotState {
  lines: readonly Line[];
  axis: Axis;
  logX: boolean;
  logY: boolean;
  /** Of the height. */
  unit: string | null;
  zoom: Range | null;
  /** The height when it does not follow from the lines. */
  y: Range | null;
  /** Axes stay as they are while somebody reads a value. */
  hold: boolean;
  envelope: boolean;
}

const EMPTY: PlotState = {
  lines: [],
  axis: 'step',
  logX: false,
  logY: false,
  unit: null,
  zoom: null,
  y: null,
  hold: false,
  envelope: true,
};

/**
 * A uPlot for axes, grid, crosshair and zoom, and over it canvases of our own for the lines: one for all, one for the line that is
 * highlighted, so that moving the pointer paints one line and not a hundred. On logarithmic axes uPlot gets logarithms.
 */
export class Plot {
  readonly #plot: uPlot;
  readonly #all: HTMLCanvasElement;
  readonly #front: HTMLCanvasElement;
  readonly #onzoom: (range: Range | null) => void;
  #state: PlotState = EMPTY;
  #x: Range = { min: 0, max: 1 };
  #y: Range = { min: 0, max: 1 };
  #highlighted: string | null = null;
  #setting = false;

  constructor({ element, width, height, onzoom, oncursor, onclick }: PlotOptions) {
    this.#onzoom = onzoom;
    const inks = (name: string) => (): string => getComputedStyle(element).getPropertyValue(name).trim();
    const axis = {
      stroke: inks('--ink-3'),
      font: `11px ${getComputedStyle(element).fontFamily}`,
      grid: { stroke: inks('--rule'), width: 1 },
      ticks: { stroke: inks('--rule-2'), width: 1, size: 4 },
    };
    let pressed: { x: number; y: number } | null = null;
    this.#plot = onCpuCanvas(
      () =>
        new uPlot(
          {
            width,
            height,
            legend: { show: false },
            padding: [10, 12, 0, 0],
            scales: {
              x: { time: false, range: () => this.#scale(this.#x, this.#state.logX) },
              y: { range: () => this.#scale(this.#y, this.#state.logY) },
            },
            axes: [
              {
                ...axis,
                size: 24,
                gap: 4,
                splits: (plot) => {
                  const { axis: along, logX } = this.#state;
                  const count = plot.bbox.width / uPlot.pxRatio / 84;
                  return this.#into(ticksX(along, logX, this.#x.min, this.#x.max, count), logX);
                },
                values: (_plot, splits) => {
                  const ticks = this.#outOf(splits, this.#state.logX);
                  return ticks.map((tick) => tickX(this.#state.axis, tick, ticks));
                },
              },
              {
                ...axis,
                scale: 'y',
                size: 52,
                gap: 4,
                splits: (plot) => {
                  const count = plot.bbox.height / uPlot.pxRatio / 36;
                  const { min, max } = this.#y;
                  const { logY } = this.#state;
                  return this.#into(ticksOf(this.#state.unit, logY, min, max, count), logY);
                },
                values: (_plot, splits) => tickWords(this.#state.unit, this.#outOf(splits, this.#state.logY)),
              },
            ],
            // uPlot draws nothing of it; it ties the scale to an axis.
            series: [{}, { scale: 'y', paths: () => null, points: { show: false } }],
            cursor: {
              y: false,
              points: { show: false },
              drag: { x: true, y: false, setScale: false },
              bind: {
                dblclick: () => () => (onzoom(null), null),
                mousedown: (_plot, _target, handler) => (event: MouseEvent) => {
                  pressed = { x: event.clientX, y: event.clientY };
                  if (event.shiftKey && event.button === 0) this.#pan(event);
                  else handler(event);
                  return null;
                },
              },
            },
            hooks: {
              setSelect: [
                (plot) => {
                  if (this.#setting || plot.select.width < 4) return;
                  const { left, width: wide } = plot.select;
                  const range = { min: this.#valueAt(left), max: this.#valueAt(left + wide) };
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
                  else oncursor({ x: this.#valueAt(left), y: this.#heightAt(Math.max(0, top)), left, top });
                },
              ],
            },
          },
          [
            [0, 1],
            [null, null],
          ],
          element,
        ),
    );
    const canvas = (): HTMLCanvasElement => {
      const made = document.createElement('canvas');
      made.style.position = 'absolute';
      made.style.pointerEvents = 'none';
      this.#plot.under.parentElement!.insertBefore(made, this.#plot.over);
      return made;
    };
    this.#all = canvas();
    this.#all.dataset['lines'] = 'all';
    this.#front = canvas();
    this.#plot.over.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    // uPlot binds clicks of legends only.
    this.#plot.over.addEventListener('click', (event) => {
      const still = pressed !== null && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < 4;
      if (still && !event.shiftKey && event.detail < 2) onclick();
    });
    followFingers(this.#plot.over, {
      one: (left, top) => this.#plot.setCursor({ left, top }),
      held: (left) => this.#scaled(left),
      two: (min, max) => onzoom(this.#state.logX ? { min: 10 ** min, max: 10 ** max } : { min, max }),
    });
    this.#fit();
  }

  show(state: PlotState): void {
    this.#state = state;
    if (!state.hold) {
      this.#x = widened(
        state.zoom ?? rangeX(state.lines, state.logX) ?? { min: state.logX ? 1 : 0, max: state.logX ? 10 : 1 },
      );
      const found = state.y ?? heightOf(state, this.#x);
      this.#y = found;
    }
    // Scales follow from the ranges; the data only makes uPlot look at them.
    this.#plot.setData([this.#scale(this.#x, state.logX), [null, null]]);
    this.#fit();
    this.#paint();
  }

  /** Brings a run to the front and sets the others back; null ends it. */
  highlight(id: string | null): void {
    if (id === this.#highlighted) return;
    this.#highlighted = id;
    this.#paintFront();
  }

  resize(width: number, height: number): void {
    if (width === this.#plot.width && height === this.#plot.height) return;
    this.#plot.setSize({ width, height });
    this.#fit();
    this.#paint();
  }

  /** Puts the crosshair at a value; null takes it away. */
  point(x: number | null): void {
    if (x === null) this.#plot.setCursor({ left: -10, top: -10 });
    else this.#plot.setCursor({ left: this.leftOf(x), top: -1 });
  }

  get ranges(): { x: Range; y: Range } {
    return { x: this.#x, y: this.#y };
  }

  /** Where the plot's area begins in its element, in CSS pixels, and how large it is. */
  get area(): { left: number; top: number; width: number; height: number } {
    const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = this.#plot.over;
    return { left: offsetLeft, top: offsetTop, width: offsetWidth, height: offsetHeight };
  }

  /** CSS pixels of a value from the plot's top. */
  topOf(value: number): number {
    return projection(this.#y.min, this.#y.max, this.#plot.over.offsetHeight, 0, this.#state.logY)(value);
  }

  leftOf(value: number): number {
    return projection(this.#x.min, this.#x.max, 0, this.#plot.over.offsetWidth, this.#state.logX)(value);
  }

  /** Shows `share` of the stretch, around `at`: less than 1 is closer. */
  zoomBy(share: number, at: number | null): void {
    const { logX } = this.#state;
    const [low, high] = this.#scale(this.#x, logX);
    const around = at === null ? (low + high) / 2 : logX ? Math.log10(at) : at;
    const [min, max] = [around + (low - around) * share, around + (high - around) * share];
    this.#onzoom(logX ? { min: 10 ** min, max: 10 ** max } : { min, max });
  }

  destroy(): void {
    this.#plot.destroy();
  }

  #scale({ min, max }: Range, log: boolean): [number, number] {
    return log ? [Math.log10(min), Math.log10(max)] : [min, max];
  }

  #into(ticks: readonly number[], log: boolean): number[] {
    return log ? ticks.map(Math.log10) : [...ticks];
  }

  #outOf(splits: readonly number[], log: boolean): number[] {
    return log ? splits.map((split) => Number((10 ** split).toPrecision(12))) : [...splits];
  }

  #valueAt(left: number): number {
    const value = this.#plot.posToVal(left, 'x');
    return this.#state.logX ? 10 ** value : value;
  }

  /** A place along x as the axis has it: of a logarithmic one the logarithm. */
  #scaled(left: number): number {
    return this.#plot.posToVal(left, 'x');
  }

  #heightAt(top: number): number {
    const value = this.#plot.posToVal(top, 'y');
    return this.#state.logY ? 10 ** value : value;
  }

  #pan(event: MouseEvent): void {
    const { logX } = this.#state;
    const [low, high] = this.#scale(this.#x, logX);
    const begin = event.clientX;
    const width = this.#plot.over.offsetWidth;
    event.preventDefault();
    const move = ({ clientX }: MouseEvent): void => {
      const by = ((clientX - begin) / width) * (high - low);
      const [min, max] = [low - by, high - by];
      this.#onzoom(logX ? { min: 10 ** min, max: 10 ** max } : { min, max });
    };
    const stop = (): void => {
      removeEventListener('mousemove', move);
      removeEventListener('mouseup', stop);
    };
    addEventListener('mousemove', move);
    addEventListener('mouseup', stop);
  }

  #wheel(event: WheelEvent): void {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const { left } = this.#plot.over.getBoundingClientRect();
    this.zoomBy(event.deltaY > 0 ? 1.25 : 0.8, this.#valueAt(event.clientX - left));
  }

  /** Lays our canvases over the plot's area. */
  #fit(): void {
    const { left, top, width, height } = this.area;
    const ratio = uPlot.pxRatio;
    for (const canvas of [this.#all, this.#front]) {
      Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
      const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (canvas.width !== wide) canvas.width = wide;
      if (canvas.height !== high) canvas.height = high;
    }
  }

  #paint(): void {
    const { lines, envelope } = this.#state;
    const context = brushOf(this.#all);
    if (context === null) return;
    const place = this.#place(this.#all);
    context.clearRect(0, 0, this.#all.width, this.#all.height);
    // The first run is on top: it is the one chosen first.
    const thin = isCrowded(lines, place.from, place.to);
    for (let index = lines.length - 1; index >= 0; index--) drawLine(context, place, lines[index]!, { envelope, thin });
    this.#paintFront();
  }

  #paintFront(): void {
    const { lines, envelope } = this.#state;
    const context = brushOf(this.#front);
    if (context === null) return;
    context.clearRect(0, 0, this.#front.width, this.#front.height);
    const front = this.#highlighted === null ? [] : lines.filter(({ id }) => id === this.#highlighted);
    this.#all.style.opacity = front.length > 0 && lines.length > front.length ? '0.3' : '';
    const place = this.#place(this.#front);
    for (const line of front) drawLine(context, place, line, { envelope, strong: true });
  }

  #place({ width, height }: HTMLCanvasElement): Place {
    const { logX, logY } = this.#state;
    return {
      px: projection(this.#x.min, this.#x.max, 0, width, logX),
      py: projection(this.#y.min, this.#y.max, height, 0, logY),
      from: this.#x.min,
      to: this.#x.max,
      width,
      height,
      ratio: uPlot.pxRatio,
      logX,
      logY,
    };
  }
}

/** The height of what is visible. */
export function heightOf({ lines, logY }: Pick<PlotState, 'lines' | 'logY'>, x: Range): Range {
  const whole = rangeY(lines, x.min, x.max, logY);
  return whole === null ? (logY ? { min: 0.1, max: 1 } : { min: 0, max: 1 }) : padded(whole, logY);
}

function widened({ min, max }: Range): Range {
  return min === max ? { min: min - 0.5, max: max + 0.5 } : { min, max };
}

const WEEK_MS = 7 * 24 * 3_600_000;
let cpu: boolean | null = null;

function brushOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  cpu ??= paintsOnCpu();
  return canvas.getContext('2d', { willReadFrequently: cpu });
}

/**
 * Where the browser paints canvases on a software GPU, one frame can take seconds; a canvas that is read back often
 * stays on the CPU, and then the same frame takes milliseconds. uPlot makes its own canvas, so the hint is given here.
 */
function onCpuCanvas<T>(make: () => T): T {
  cpu ??= paintsOnCpu();
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

/** Asked of the browser once a week: the question itself takes longer than a chart. */
function paintsOnCpu(): boolean {
  const kept = new Persisted<{ cpu: boolean; at: number } | null>('paints-on-cpu', null);
  if (kept.current === null || Date.now() - kept.current.at >= WEEK_MS)
    kept.current = { cpu: hasSoftwareGpu(), at: Date.now() };
  return kept.current.cpu;
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
