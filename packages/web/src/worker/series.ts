import { isFieldbookError } from '@fieldbook/core';
import type { SeriesAnswer, SeriesQuery } from './api.ts';
import type { Http } from './http.ts';
import { floats } from './http.ts';
import type { Keep } from './keep.ts';

/** More points than a chart has pixels come as half as many buckets. */
const POINTS = 2_000;
/** What this browser keeps of series it has drawn. */
const KEPT_BYTES = 128 * 1024 * 1024;
const TRIM_EVERY = 50;

type Numbers = readonly (number | string)[];

/** As `GET /api/v1/runs/{run}/series` answers. */
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

/**
 * Series for charts: from the server when it answers, else as last seen. What was seen is kept per range, so that a
 * chart that was once drawn draws again with every server stopped.
 */
export class SeriesSource {
  readonly #http: Http;
  readonly #keep: Keep;
  #puts = 0;

  constructor(http: Http, keep: Keep) {
    this.#http = http;
    this.#keep = keep;
  }

  async read(query: SeriesQuery): Promise<SeriesAnswer> {
    const key = JSON.stringify([query.run, query.metric, query.x, query.from, query.to]);
    const kept = (await this.#keep.getSeries(key).catch(() => undefined))?.value as Kept | undefined;
    // A finished run's series does not change; the server need not say it twice.
    if (kept !== undefined && kept.updated >= query.updated && query.updated > 0)
      return { ...kept.answer, origin: 'kept' };
    try {
      const parameters = new URLSearchParams({ metric: query.metric, x: query.x, points: String(POINTS) });
      if (query.from !== null) parameters.set('from', String(query.from));
      if (query.to !== null) parameters.set('to', String(query.to));
      const answer = answerOf(
        await this.#http.json<SeriesJson>(`/runs/${encodeURIComponent(query.run)}/series?${parameters}`),
        query.x,
      );
      if (answer.note === null) await this.#put(key, { updated: query.updated, answer });
      return answer;
    } catch (error) {
      if (kept !== undefined) return { ...kept.answer, origin: 'kept', note: 'As last seen in this browser.' };
      const note = isFieldbookError(error, 'peer_unreachable')
        ? 'Not seen in this browser before, and no server answers.'
        : error instanceof Error
          ? error.message
          : String(error);
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
