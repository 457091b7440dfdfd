import { isFieldbookError } from '@fieldbook/core';
import type { SeriesAnswer, SeriesQuery } from './api.ts';
import type { Http } from './http.ts';
import { floats } from './http.ts';
import type { Keep } from './keep.ts';
import type { LocalSeries } from './local-series.ts';

/** More points than a chart has pixels come as half as many buckets. */
const POINTS = 2_000;
/** What this browser keeps of series it has drawn. */
const KEPT_BYTES = 128 * 1024 * 1024;
const TRIM_EVERY = 50;

type Numbers = ArrayLike<number | string>;

/** As `GET /api/v1/runs/{run}/series` answers, and as core's reader does, in typed arrays. */
export interface SeriesJson {
  total: number;
  points: { steps: Numbers; times: Numbers; values: Numbers } | null;
  buckets: {
    count: Numbers;
    min: Numbers;
    minX: Numbers;
    max: Numbers;
    maxX: Numbers;
    first: Numbers;
    firstX: Numbers;
    last: Numbers;
    lastX: Numbers;
    nonFinite: Numbers;
  } | null;
  missing: readonly { points: number }[];
  corrupt: readonly unknown[];
}

interface Kept {
  updated: number;
  answer: SeriesAnswer;
}

const AS_LAST_SEEN = 'As last seen in this browser.';

/**
 * Series for charts: made here of the run's segments by the reader that agents use, so that a chart that was once drawn draws
 * and zooms with every server stopped; from the server where segments or manifest cannot be had; else as last seen. What was
 * drawn is kept per range too.
 */
export class SeriesSource {
  readonly #http: Pick<Http, 'json'>;
  readonly #keep: Pick<Keep, 'getSeries' | 'putSeries' | 'trimSeries'>;
  readonly #local: Pick<LocalSeries, 'read'>;
  readonly #asksServer: (query: SeriesQuery) => boolean;
  #puts = 0;

  /** `asksServer`: whether a series is not worth its run's whole manifest, as while a run that nobody has open grows. */
  constructor(
    http: Pick<Http, 'json'>,
    keep: Pick<Keep, 'getSeries' | 'putSeries' | 'trimSeries'>,
    local: Pick<LocalSeries, 'read'>,
    asksServer: (query: SeriesQuery) => boolean,
  ) {
    this.#http = http;
    this.#keep = keep;
    this.#local = local;
    this.#asksServer = asksServer;
  }

  async read(query: SeriesQuery): Promise<SeriesAnswer> {
    const key = JSON.stringify([query.run, query.metric, query.x, query.from, query.to]);
    const kept = (await this.#keep.getSeries(key).catch(() => undefined))?.value as Kept | undefined;
    // A finished run's series does not change; nobody need say it twice.
    if (kept !== undefined && kept.updated >= query.updated && query.updated > 0)
      return { ...kept.answer, origin: 'kept' };
    let problem: unknown;
    try {
      const answer = (await this.#here(query)) ?? (await this.#fromServer(query));
      if (answer.note === null && answer.origin === 'fresh') await this.#put(key, { updated: query.updated, answer });
      return answer;
    } catch (error) {
      problem = error;
    }
    if (kept !== undefined) return { ...kept.answer, origin: 'kept', note: AS_LAST_SEEN };
    const note = isFieldbookError(problem, 'peer_unreachable')
      ? 'Not seen in this browser before, and no server answers.'
      : problem instanceof Error
        ? problem.message
        : String(problem);
    return {
      x: new Float64Array(),
      y: new Float64Array(),
      total: 0,
      buckets: 0,
      band: null,
      nonFinite: 0,
      origin: 'absent',
      note,
    };
  }

  /** Made here of the run's manifest and blobs; undefined when the server should be asked instead. */
  async #here(query: SeriesQuery): Promise<SeriesAnswer | undefined> {
    if (this.#asksServer(query)) return undefined;
    try {
      const local = await this.#local.read(query, POINTS);
      if (local === undefined) return undefined;
      const answer = answerOf(local.series, query.x);
      return local.fresh ? answer : { ...answer, origin: 'kept', note: answer.note ?? AS_LAST_SEEN };
    } catch {
      // Its bytes cannot be had, or are of a version that this page does not know: the server may know better, and says
      // what is wrong when it does not.
      return undefined;
    }
  }

  async #fromServer(query: SeriesQuery): Promise<SeriesAnswer> {
    const parameters = new URLSearchParams({ metric: query.metric, x: query.x, points: String(POINTS) });
    if (query.from !== null) parameters.set('from', String(query.from));
    if (query.to !== null) parameters.set('to', String(query.to));
    const path = `/runs/${encodeURIComponent(query.run)}/series?${parameters}`;
    return answerOf(await this.#http.json<SeriesJson>(path), query.x);
  }

  async #put(key: string, value: Kept): Promise<void> {
    const { x, y, band } = value.answer;
    const bytes = x.byteLength + y.byteLength + (band === null ? 0 : 3 * band.x.byteLength) + 256;
    // Nothing is lost when it cannot be kept: the chart is drawn from what came.
    await this.#keep.putSeries({ key, used: Date.now(), bytes, value }).catch(() => undefined);
    this.#puts += 1;
    if (this.#puts % TRIM_EVERY === 0) await this.#keep.trimSeries(KEPT_BYTES).catch(() => undefined);
  }
}

/** The polyline of an answer: its points, or the four points of each bucket in the order of x. */
export function answerOf(json: SeriesJson, x: 'step' | 'time'): SeriesAnswer {
  const missing = json.missing.reduce((sum, { points }) => sum + points, 0);
  const note =
    missing > 0
      ? `${missing.toLocaleString('en')} recorded points are on another machine.`
      : json.corrupt.length > 0
        ? 'Some recorded points cannot be read: their bytes are damaged.'
        : null;
  const base = { total: json.total, origin: 'fresh' as const, note };
  if (json.buckets === null) {
    const y = floats(json.points?.values ?? []);
    return {
      ...base,
      x: floats((x === 'step' ? json.points?.steps : json.points?.times) ?? []),
      y,
      buckets: 0,
      band: null,
      nonFinite: y.reduce((sum, value) => sum + (Number.isFinite(value) ? 0 : 1), 0),
    };
  }
  const { buckets } = json;
  const xs: number[] = [];
  const ys: number[] = [];
  const size = buckets.min.length;
  const band = { x: new Float64Array(size), low: new Float64Array(size), high: new Float64Array(size) };
  let nonFinite = 0;
  for (let index = 0; index < size; index++) {
    const corner = (px: Numbers, py: Numbers): [number, number] => [Number(px[index]), Number(py[index])];
    const corners = [
      corner(buckets.firstX, buckets.first),
      corner(buckets.minX, buckets.min),
      corner(buckets.maxX, buckets.max),
      corner(buckets.lastX, buckets.last),
    ];
    corners.sort((a, b) => a[0] - b[0]);
    for (const [px, py] of corners) {
      if (Number.isNaN(px) || (px === xs.at(-1) && py === ys.at(-1))) continue;
      xs.push(px);
      ys.push(py);
    }
    band.x[index] = (Number(buckets.firstX[index]) + Number(buckets.lastX[index])) / 2;
    band.low[index] = Number(buckets.min[index]);
    band.high[index] = Number(buckets.max[index]);
    nonFinite += Number(buckets.nonFinite[index]);
  }
  return { ...base, x: Float64Array.from(xs), y: Float64Array.from(ys), buckets: size, band, nonFinite };
}
