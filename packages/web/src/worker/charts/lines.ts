import type { AttributePath, RunId } from '@fieldbook/core';
import { isFieldbookError, LIMITS } from '@fieldbook/core';
import type { RunGlimpse } from '../table.ts';
import type { MetricSummary } from '@fieldbook/core/record';
import type { Axis } from '../../charts/settings.ts';
import { axisMetric } from '../../charts/settings.ts';
import type { SeriesAnswer, SeriesQuery } from '../api.ts';
import type { Census, CensusRequest, DrawnLine, LinesRequest, PointsPage, PointsRequest } from './api.ts';
import { census, middleOf } from './census.ts';
import type { Columns, ColumnStore, SeriesFacts } from './columns.ts';
import { envelope, oddOf, pathEnvelope } from './envelope.ts';
import type { Drawn } from './envelope.ts';
import { joinBySteps } from './join.ts';
import { lowerPlace, rowsWithin, upperPlace } from './places.ts';
import { smooth } from './smoothing.ts';

/** A growing series up to this length is held whole, so that a beat costs its new points only. */
const GROWING_MOST = 500_000;
/** Longer ones are not looked through for a count that nobody asked for by number. */
const CENSUS_MOST = 10_000_000;

export interface SeriesReading {
  read(query: SeriesQuery): Promise<SeriesAnswer>;
}

interface Request extends Pick<LinesRequest, 'axis' | 'from' | 'to' | 'logX' | 'smoothing'> {
  points: number;
}

/** Lines as they are drawn: read as envelopes where that is enough, made of whole series where it is not. */
export class LineSource {
  readonly #series: SeriesReading;
  readonly #columns: ColumnStore;
  readonly #stateOf: (run: RunId) => RunGlimpse | undefined;

  constructor(series: SeriesReading, columns: ColumnStore, stateOf: (run: RunId) => RunGlimpse | undefined) {
    this.#series = series;
    this.#columns = columns;
    this.#stateOf = stateOf;
  }

  async lines(request: LinesRequest): Promise<DrawnLine[]> {
    const lines = await Promise.all(request.series.map(({ run, metric }) => this.line(run, metric, request)));
    return lines.filter((line) => line !== undefined);
  }

  /** Undefined when the run has no such metric. */
  async line(run: RunId, metric: string, request: Request): Promise<DrawnLine | undefined> {
    const state = this.#stateOf(run);
    if (state === undefined) return undefined;
    const facts = factsOf(state, metric);
    const other = axisMetric(request.axis);
    if (!mayHave(state, metric) || (other !== null && !mayHave(state, other))) return undefined;
    const whole = other !== null || request.smoothing !== null || (facts.running && facts.count <= GROWING_MOST);
    if (whole) {
      try {
        return await this.#ofColumns(state, metric, facts, request);
      } catch (error) {
        if (other !== null) return { ...nothing(run, metric), note: words(error) };
        const line = await this.#ofEnvelope(state, metric, facts, request);
        return request.smoothing === null || line.total === 0
          ? line
          : { ...line, note: line.note ?? `Not smoothed: ${words(error)}` };
      }
    }
    return this.#ofEnvelope(state, metric, facts, request);
  }

  async census(request: CensusRequest): Promise<Census> {
    const columns: Float64Array[] = [];
    let complete = true;
    for (const { run, metric } of request.series) {
      const state = this.#stateOf(run);
      if (state === undefined) continue;
      const facts = factsOf(state, metric);
      try {
        if (facts.count > CENSUS_MOST) throw new Error('too long to be looked through');
        columns.push(await this.#valuesWithin(state, metric, facts, request));
      } catch {
        complete = false;
        const line = await this.line(run, metric, { ...request, points: 2_000, smoothing: null });
        if (line !== undefined) columns.push(line.y);
      }
    }
    const within = request.within ?? middleOf(columns, request.percent);
    return { ...census(columns, within), complete };
  }

  async points({ run, metric, axis, from, to, first, count }: PointsRequest): Promise<PointsPage> {
    const empty = {
      total: 0,
      steps: new Float64Array(),
      times: new Float64Array(),
      values: new Float64Array(),
      x: null,
    };
    const state = this.#stateOf(run);
    if (state === undefined) return { ...empty, note: 'The run is not here.' };
    try {
      const columns = await this.#columns.of(run, metric, factsOf(state, metric));
      const other = axisMetric(axis);
      if (other !== null) {
        const joined = joinBySteps(await this.#columns.of(run, other, factsOf(state, other)), columns);
        const rows = rowsWithin(joined.x, from, to, joined.ascending).slice(first, first + count);
        const pick = (column: Float64Array): Float64Array => Float64Array.from(rows, (row) => column[row]!);
        const times = pick(joined.steps).map((step) => columns.times[lowerPlace(columns.steps, step)] ?? NaN);
        const total = rowsWithin(joined.x, from, to, joined.ascending).length;
        return {
          total,
          steps: pick(joined.steps),
          times,
          values: pick(joined.y),
          x: pick(joined.x),
          note: columns.note,
        };
      }
      const along = alongAxis(columns, axis, state.created);
      const start = from === null ? 0 : lowerPlace(along.x, from);
      const end = to === null ? along.x.length : upperPlace(along.x, to);
      const cut = (column: Float64Array): Float64Array =>
        column.slice(start + first, Math.min(end, start + first + count));
      return {
        total: Math.max(0, end - start),
        steps: cut(along.steps),
        times: cut(along.times),
        values: cut(along.y),
        x: null,
        note: columns.note,
      };
    } catch (error) {
      return { ...empty, note: words(error) };
    }
  }

  /** Raw columns along an axis, for statistics over many runs; undefined without such a metric. */
  async along(run: RunId, metric: string, axis: Axis): Promise<{ x: Float64Array; y: Float64Array } | undefined> {
    const state = this.#stateOf(run);
    if (state === undefined || !mayHave(state, metric)) return undefined;
    const columns = await this.#columns.of(run, metric, factsOf(state, metric));
    const other = axisMetric(axis);
    if (other === null) return alongAxis(columns, axis, state.created);
    const joined = joinBySteps(await this.#columns.of(run, other, factsOf(state, other)), columns);
    if (joined.ascending) return joined;
    const order = Uint32Array.from(joined.x.keys()).sort((a, b) => joined.x[a]! - joined.x[b]!);
    return { x: picked(joined.x, order), y: picked(joined.y, order) };
  }

  async #valuesWithin(
    state: RunGlimpse,
    metric: string,
    facts: SeriesFacts,
    request: Pick<Request, 'axis' | 'from' | 'to'>,
  ): Promise<Float64Array> {
    const { axis, from, to } = request;
    const columns = await this.#columns.of(state.id, metric, facts);
    const other = axisMetric(axis);
    if (other !== null) {
      const joined = joinBySteps(await this.#columns.of(state.id, other, factsOf(state, other)), columns);
      const rows = rowsWithin(joined.x, from, to, joined.ascending);
      return Float64Array.from(rows, (row) => joined.y[row]!);
    }
    const { x, y } = alongAxis(columns, axis, state.created);
    return y.subarray(from === null ? 0 : lowerPlace(x, from), to === null ? y.length : upperPlace(x, to));
  }

  async #ofColumns(state: RunGlimpse, metric: string, facts: SeriesFacts, request: Request): Promise<DrawnLine> {
    const { id: run, created } = state;
    const { axis, smoothing } = request;
    const other = axisMetric(axis);
    if (other !== null) return this.#against(state, metric, other, facts, request);
    // Smoothed along the clock the same whatever its zero is.
    const along = axis === 'step' ? 'step' : 'time';
    const key = smoothing === null ? '' : `${smoothing.kind} ${smoothing.width} ${smoothing.unit} ${along}`;
    const { columns, made } = await this.#columns.derive(run, metric, facts, key, (whole) => {
      if (smoothing === null) return null;
      const { x, y } = alongAxis(whole, axis, created);
      return smooth(smoothing.kind, x, y, widthOf(smoothing, x, along));
    });
    const { x, y } = alongAxis(columns, axis, created);
    const drawn = envelope(x, y, request);
    const curve = made === null ? null : envelope(x, made, request);
    const { origin, note } = columns;
    const unplaced = request.logX && request.from === null ? upperPlace(x, 0) : 0;
    return {
      run,
      metric,
      ...drawn,
      smooth: curve === null ? null : { x: curve.x, y: curve.y },
      unplaced,
      origin,
      note,
    };
  }

  async #against(
    state: RunGlimpse,
    metric: string,
    other: string,
    facts: SeriesFacts,
    request: Request,
  ): Promise<DrawnLine> {
    const { id: run } = state;
    const { from, to, logX, smoothing, points } = request;
    const columns = await this.#columns.of(run, metric, facts);
    const place = await this.#columns.of(run, other, factsOf(state, other));
    const joined = joinBySteps(place, columns);
    let { x, y } = joined;
    // Another metric may go back and forth; smoothing follows the steps.
    let curve =
      smoothing === null ? null : smooth(smoothing.kind, joined.steps, y, widthOf(smoothing, joined.steps, 'step'));
    let drawn: Drawn;
    let smoothed: Drawn | null = null;
    let offLog = 0;
    if (joined.ascending) {
      drawn = envelope(x, y, request);
      if (curve !== null) smoothed = envelope(x, curve, request);
      if (logX) offLog = upperPlace(x, 0);
    } else {
      const rows = rowsWithin(x, from, to, false).filter((row) => !logX || x[row]! > 0);
      if (logX) offLog = x.reduce((sum, value) => sum + (value > 0 ? 0 : 1), 0);
      if (curve !== null) curve = picked(curve, rows);
      [x, y] = [picked(x, rows), picked(y, rows)];
      drawn = pathEnvelope(x, y, points);
      if (curve !== null) smoothed = pathEnvelope(x, curve, points);
    }
    return {
      run,
      metric,
      ...drawn,
      smooth: smoothed === null ? null : { x: smoothed.x, y: smoothed.y },
      unplaced: joined.unplaced + offLog,
      origin: columns.origin,
      note: columns.note ?? place.note,
    };
  }

  async #ofEnvelope(state: RunGlimpse, metric: string, facts: SeriesFacts, request: Request): Promise<DrawnLine> {
    const { id: run, created } = state;
    const { axis, from, to, logX, points } = request;
    const shift = axis === 'relative' ? created : 0;
    // Of a series that is drawn point by point there is nothing closer to look at.
    const few = facts.count > 0 && facts.count <= points;
    const query = {
      run,
      metric,
      x: axis === 'step' ? ('step' as const) : ('time' as const),
      from: from === null || few ? null : from + shift,
      to: to === null || few ? null : to + shift,
      updated: facts.running ? 0 : facts.updated,
      count: facts.count,
      points,
    };
    let answer = await this.#series.read(query);
    let unplaced = 0;
    if (logX && answer.buckets > 0) ({ answer, unplaced } = await this.#byDecades(query, answer, shift));
    else if (logX) unplaced = upperPlace(answer.x, shift);
    const { y, buckets, nonFinite, origin, note } = answer;
    const moved = (x: Float64Array): Float64Array => (shift === 0 ? x : x.map((value) => value - shift));
    const x = moved(answer.x);
    // All of it is here, to be moved along at once; what is counted is the stretch that was asked for.
    const total = few && buckets === 0 ? rowsWithin(x, from, to, true).length : answer.total;
    return {
      run,
      metric,
      x,
      y,
      ascending: true,
      smooth: null,
      band: answer.band === null ? null : { ...answer.band, x: moved(answer.band.x) },
      total,
      buckets,
      odd: { x: moved(answer.odd.x), kind: answer.odd.kind },
      nonFinite,
      unplaced,
      origin,
      note,
    };
  }

  /** On a logarithmic axis each decade gets its share of buckets: on one grid over all, the first ones would lie in a single bucket. */
  async #byDecades(
    query: SeriesQuery,
    whole: SeriesAnswer,
    shift: number,
  ): Promise<{ answer: SeriesAnswer; unplaced: number }> {
    const last = whole.x.at(-1)! - shift;
    if (!(last > 0))
      return { answer: { ...whole, x: new Float64Array(), y: new Float64Array(), band: null }, unplaced: whole.total };
    // Steps and milliseconds are whole numbers; what lies below 1 is in the first part.
    const least =
      query.from !== null && query.from > shift ? query.from - shift : Math.min(1, firstPositive(whole.x, shift));
    const first = Math.max(least, last / 1e15);
    const edges = [first];
    for (let power = Math.floor(Math.log10(first)) + 1; 10 ** power < last; power++) edges.push(10 ** power);
    edges.push(query.to === null ? last : query.to - shift);
    const points = Math.max(200, Math.floor((query.points ?? 2_000) / (edges.length - 1)));
    const parts = await Promise.all(
      edges.slice(1).map((edge, at) =>
        // Ranges include their ends; the next decade begins just behind.
        this.#series.read({
          ...query,
          from:
            at > 0
              ? justAbove(edges[at]! + shift)
              : query.from !== null && query.from > shift
                ? query.from
                : justAbove(shift),
          to: edge + shift,
          points,
        }),
      ),
    );
    const worst =
      parts.find(({ note }) => note !== null) ?? parts.find(({ origin }) => origin !== 'fresh') ?? parts[0]!;
    const join = (columns: readonly Float64Array[]): Float64Array => {
      const joined = new Float64Array(columns.reduce((sum, { length }) => sum + length, 0));
      columns.reduce((at, column) => (joined.set(column, at), at + column.length), 0);
      return joined;
    };
    const bands = parts.map(({ x, y, band }) => band ?? { x, low: y, high: y, mean: y, count: y.map(() => 1) });
    const total = parts.reduce((sum, part) => sum + part.total, 0);
    const answer: SeriesAnswer = {
      x: join(parts.map(({ x }) => x)),
      y: join(parts.map(({ y }) => y)),
      total,
      buckets: parts.reduce((sum, part) => sum + part.buckets, 0),
      band: {
        x: join(bands.map(({ x }) => x)),
        low: join(bands.map(({ low }) => low)),
        high: join(bands.map(({ high }) => high)),
        mean: join(bands.map(({ mean }) => mean)),
        count: join(bands.map(({ count }) => count)),
      },
      nonFinite: parts.reduce((sum, part) => sum + part.nonFinite, 0),
      odd: {
        x: join(parts.map(({ odd }) => odd.x)),
        kind: Uint8Array.from(parts.flatMap(({ odd }) => [...odd.kind])),
      },
      origin: worst.origin,
      note: worst.note,
    };
    return { answer, unplaced: whole.total - total };
  }
}

/** False when a run's card rules a metric out. Those of the machine are on no card, and of very many only the first are. */
export function mayHave(state: RunGlimpse, metric: string): boolean {
  return (
    summaryOf(state, metric) !== undefined || metric.startsWith('sys/') || state.metrics.size >= LIMITS.cardMetrics
  );
}

/** What a run's card says of a metric. */
export function summaryOf(state: RunGlimpse, metric: string): MetricSummary | undefined {
  return state.metrics.get(metric as AttributePath);
}

export function factsOf(state: RunGlimpse, metric: string): SeriesFacts {
  return { running: state.status === 'running', updated: state.updated, count: summaryOf(state, metric)?.count ?? 0 };
}

/** Columns by the x of an axis, ascending; steps may have been logged out of the order of time. */
export function alongAxis(
  { steps, times, values }: Pick<Columns, 'steps' | 'times' | 'values'>,
  axis: Axis,
  created: number,
): { x: Float64Array; y: Float64Array; steps: Float64Array; times: Float64Array } {
  if (axis === 'step') return { x: steps, y: values, steps, times };
  let ascending = true;
  for (let row = 1; row < times.length && ascending; row++) ascending = times[row]! >= times[row - 1]!;
  const shifted = (column: Float64Array): Float64Array =>
    axis === 'relative' ? column.map((time) => time - created) : column;
  if (ascending) return { x: shifted(times), y: values, steps, times };
  const order = Uint32Array.from(times.keys()).sort((a, b) => times[a]! - times[b]! || a - b);
  const sorted = picked(times, order);
  return { x: shifted(sorted), y: picked(values, order), steps: picked(steps, order), times: sorted };
}

function widthOf(smoothing: NonNullable<LinesRequest['smoothing']>, x: Float64Array, along: 'step' | 'time'): number {
  const { width, unit } = smoothing;
  if (unit === 'x') return along === 'time' ? width * 1_000 : width;
  return x.length === 0 ? 0 : ((x[x.length - 1]! - x[0]!) * width) / 100;
}

function picked(column: Float64Array, rows: Uint32Array): Float64Array {
  return Float64Array.from(rows, (row) => column[row]!);
}

function firstPositive(x: Float64Array, shift: number): number {
  const at = upperPlace(x, shift);
  return at < x.length ? x[at]! - shift : Infinity;
}

/** The next double above. */
function justAbove(value: number): number {
  return value + Math.max(Number.MIN_VALUE, Math.abs(value) * 2 ** -52);
}

function nothing(run: RunId, metric: string): DrawnLine {
  const none = new Float64Array();
  return {
    run,
    metric,
    x: none,
    y: none,
    ascending: true,
    smooth: null,
    band: null,
    total: 0,
    buckets: 0,
    ...oddOf(none, none),
    unplaced: 0,
    origin: 'absent',
    note: null,
  };
}

function words(error: unknown): string {
  if (isFieldbookError(error, 'peer_unreachable'))
    return 'its points have not been seen in this browser before, and no server answers.';
  return error instanceof Error ? error.message : String(error);
}
