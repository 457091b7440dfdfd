import type { DeviceId, RunId } from '@fieldbook/core';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { SeriesAnswer, SeriesQuery } from './api.ts';
import type { OddMarks } from './charts/api.ts';
import type { Columns } from './charts/columns.ts';
import { oddOf } from './charts/envelope.ts';
import type { Http } from './http.ts';
import { floats } from './http.ts';
import type { Keep } from './keep.ts';
import { packAnswer, unpackAnswer } from './kept-answer.ts';
import type { Kept } from './kept-answer.ts';
import type { LocalSeries } from './local-series.ts';

/** More points than a chart has pixels come as half as many buckets. */
const POINTS = 2_000;
/** What this browser keeps of series it has drawn. */
const KEPT_BYTES = 128 * 1024 * 1024;
const TRIM_EVERY = 50;
/** What a server answers as points at most; what is longer is read from its segments. */
const POINTS_FROM_SERVER = 100_000;
/** Three columns of so many are a quarter of a gigabyte: more than that a tab does not get for one line. */
const POINTS_IN_MEMORY = 10_000_000;
/** Of so many series it is known that they were had whole. */
const SERIES_KNOWN = 20_000;
/** Answers that are painted again and again while somebody looks at charts. */
const RECENT_BYTES = 32 * 1024 * 1024;

type Numbers = ArrayLike<number | string>;

/** As `GET /api/v1/runs/{run}/series` answers, and as core's reader does, in typed arrays. */
export interface SeriesJson {
  total: number;
  points: { steps: Numbers; times: Numbers; values: Numbers } | null;
  buckets: {
    count: Numbers;
    mean: Numbers;
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
  missing: readonly { points: number; device?: string }[];
  corrupt: readonly unknown[];
}

/** What a device is called. */
export type NameOf = (device: DeviceId) => string | undefined;

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
  readonly #asksServer: (query: Pick<SeriesQuery, 'run'>) => boolean;
  readonly #nameOf: NameOf;
  /** Answers of finished runs, in order of last use. */
  readonly #recent = new Map<string, Kept>();
  #recentBytes = 0;
  #puts = 0;
  /** Series that were once had whole, by run and metric: as of the run's `updated`. A card may come before the last of its points. */
  readonly #whole = new Map<string, number>();

  /** `asksServer`: whether a series is not worth its run's whole manifest, as while a run that nobody has open grows. */
  constructor(
    http: Pick<Http, 'json'>,
    keep: Pick<Keep, 'getSeries' | 'putSeries' | 'trimSeries'>,
    local: Pick<LocalSeries, 'read'>,
    asksServer: (query: Pick<SeriesQuery, 'run'>) => boolean,
    nameOf: NameOf = () => undefined,
  ) {
    this.#http = http;
    this.#keep = keep;
    this.#local = local;
    this.#asksServer = asksServer;
    this.#nameOf = nameOf;
  }

  async read(query: SeriesQuery): Promise<SeriesAnswer> {
    const key = JSON.stringify([3, query.run, query.metric, query.x, query.from, query.to, query.points ?? POINTS]);
    const recent = this.#recent.get(key);
    // A finished run's series does not change; nobody need say it twice.
    const holds = ({ updated }: Kept): boolean => updated >= query.updated && query.updated > 0;
    if (recent !== undefined && holds(recent)) return { ...recent.answer, origin: 'kept' };
    const kept = await this.#kept(key, query);
    if (kept !== undefined && holds(kept)) {
      this.#isWhole(query, kept.answer);
      this.#remember(key, kept);
      return { ...kept.answer, origin: 'kept' };
    }
    let problem: unknown;
    try {
      const answer = (await this.#here(query)) ?? (await this.#fromServer(query));
      // Nobody waits for a disk.
      if (answer.note === null && answer.origin === 'fresh') {
        const updated = this.#isWhole(query, answer) ? query.updated : 0;
        void this.#put(key, { updated, answer });
      }
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
      odd: { x: new Float64Array(), kind: new Uint8Array() },
      origin: 'absent',
      note,
    };
  }

  /**
   * Every point with a step of at least `from`, or of the whole series. Throws what hinders it: `peer_unreachable` when its bytes are
   * neither here nor to be had, `invalid_argument` when they are too many. `count`: how many there are by the run's card, 0 when nobody says.
   */
  async columns(run: RunId, metric: string, from: number | null, count: number): Promise<Columns> {
    const query: SeriesQuery = { run, metric, x: 'step', from, to: null, updated: 0 };
    if (this.#asksServer(query)) {
      const json = await this.#ask(query, POINTS_FROM_SERVER);
      if (json.points !== null) return { ...columnsOf(json.points), origin: 'fresh', note: noteOf(json, this.#nameOf) };
    }
    // A reader that may not answer with buckets need not look first how many points there are.
    const most = count > 0 && count <= POINTS_IN_MEMORY ? Infinity : POINTS_IN_MEMORY;
    const local = await this.#local.read(query, most).catch((error: unknown) => {
      if (isFieldbookError(error, 'invalid_argument')) throw error;
      return undefined;
    });
    if (local !== undefined) {
      const { series, fresh } = local;
      if (series.points === null) throw tooLong(series.total);
      const note = noteOf(series, this.#nameOf) ?? (fresh ? null : AS_LAST_SEEN);
      return { ...columnsOf(series.points), origin: fresh ? 'fresh' : 'kept', note };
    }
    const json = await this.#ask(query, POINTS_FROM_SERVER);
    if (json.points === null) throw tooLong(json.total);
    return { ...columnsOf(json.points), origin: 'fresh', note: noteOf(json, this.#nameOf) };
  }

  /** Whether an answer is made of all points that the run's card speaks of. A stretch is when all of the series was. */
  #isWhole({ run, metric, from, to, updated, count = 0 }: SeriesQuery, { total }: SeriesAnswer): boolean {
    const key = `${run}\n${metric}`;
    if (from !== null || to !== null) return count === 0 || this.#whole.get(key) === updated;
    if (total < count) return false;
    if (this.#whole.size >= SERIES_KNOWN) this.#whole.clear();
    this.#whole.set(key, updated);
    return true;
  }

  /** Made here of the run's manifest and blobs; undefined when the server should be asked instead. */
  async #here(query: SeriesQuery): Promise<SeriesAnswer | undefined> {
    if (this.#asksServer(query)) return undefined;
    try {
      const local = await this.#local.read(query, query.points ?? POINTS);
      if (local === undefined) return undefined;
      const answer = answerOf(local.series, query.x, this.#nameOf);
      return local.fresh ? answer : { ...answer, origin: 'kept', note: answer.note ?? AS_LAST_SEEN };
    } catch {
      // Its bytes cannot be had, or are of a version that this page does not know: the server may know better, and says
      // what is wrong when it does not.
      return undefined;
    }
  }

  async #fromServer(query: SeriesQuery): Promise<SeriesAnswer> {
    return answerOf(await this.#ask(query, query.points ?? POINTS), query.x, this.#nameOf);
  }

  async #ask(query: SeriesQuery, points: number): Promise<SeriesJson> {
    const parameters = new URLSearchParams({ metric: query.metric, x: query.x, points: String(points) });
    if (query.from !== null) parameters.set('from', String(query.from));
    if (query.to !== null) parameters.set('to', String(query.to));
    const path = `/runs/${encodeURIComponent(query.run)}/series?${parameters}`;
    return this.#http.json<SeriesJson>(path);
  }

  async #kept(key: string, { count = 0, points = POINTS }: SeriesQuery): Promise<Kept | undefined> {
    // What is drawn point by point has no band.
    const keys = count > 0 && count <= points ? [key] : [key, bandOf(key)];
    const pieces = keys.map((each) => this.#keep.getSeries(each).catch(() => undefined));
    const [line, band] = await Promise.all(pieces);
    return unpackAnswer(line?.value, band?.value);
  }

  #remember(key: string, kept: Kept): void {
    const { updated } = kept;
    if (updated === 0) return;
    const before = this.#recent.get(key);
    if (before !== undefined) this.#recentBytes -= bytesOf(before.answer);
    this.#recent.delete(key);
    this.#recent.set(key, kept);
    this.#recentBytes += bytesOf(kept.answer);
    for (const [oldest, { answer }] of this.#recent) {
      if (this.#recentBytes <= RECENT_BYTES) return;
      this.#recent.delete(oldest);
      this.#recentBytes -= bytesOf(answer);
    }
  }

  async #put(key: string, value: Kept): Promise<void> {
    this.#remember(key, value);
    const { line, band } = packAnswer(value);
    const put = (at: string, piece: unknown, bytes: number): Promise<void> =>
      // Nothing is lost when it cannot be kept: the chart is drawn from what came.
      this.#keep.putSeries({ key: at, used: Date.now(), bytes, value: piece }).catch(() => undefined);
    const { x, y } = value.answer;
    await Promise.all([
      put(key, line, x.byteLength + y.byteLength),
      ...(band === null ? [] : [put(bandOf(key), band, bytesOf(value.answer) - x.byteLength - y.byteLength)]),
    ]);
    this.#puts += 1;
    if (this.#puts % TRIM_EVERY === 0) await this.#keep.trimSeries(KEPT_BYTES).catch(() => undefined);
  }
}

/** The polyline of an answer: its points, or the four points of each bucket in the order of x. */
export function answerOf(json: SeriesJson, x: 'step' | 'time', nameOf: NameOf = () => undefined): SeriesAnswer {
  const note = noteOf(json, nameOf);
  const base = { total: json.total, origin: 'fresh' as const, note };
  if (json.buckets === null) {
    const y = floats(json.points?.values ?? []);
    const xs = floats((x === 'step' ? json.points?.steps : json.points?.times) ?? []);
    return { ...base, x: xs, y, buckets: 0, band: null, ...oddOf(xs, y) };
  }
  const { buckets } = json;
  const xs: number[] = [];
  const ys: number[] = [];
  const size = buckets.min.length;
  const column = (): Float64Array => new Float64Array(size);
  const band = { x: column(), low: column(), high: column(), mean: column(), count: column() };
  let nonFinite = 0;
  const odd: number[] = [];
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
    const its = Number(buckets.nonFinite[index]);
    band.mean[index] = Number(buckets.mean[index]);
    band.count[index] = Number(buckets.count[index]) - its;
    if (its > 0) odd.push(band.x[index]!);
    nonFinite += its;
  }
  // Of which kind they are, buckets do not say.
  const marks: OddMarks = { x: Float64Array.from(odd), kind: new Uint8Array(odd.length).fill(3) };
  return { ...base, x: Float64Array.from(xs), y: Float64Array.from(ys), buckets: size, band, nonFinite, odd: marks };
}

/** What is missing or broken of a series, in words. */
function noteOf({ missing, corrupt }: Pick<SeriesJson, 'missing' | 'corrupt'>, nameOf: NameOf): string | null {
  const absent = missing.reduce((sum, { points }) => sum + points, 0);
  if (absent === 0) return corrupt.length > 0 ? 'Some recorded points cannot be read: their bytes are damaged.' : null;
  const names = [
    ...new Set(missing.map(({ device }) => (device === undefined ? undefined : nameOf(device as DeviceId)))),
  ];
  const where = names.includes(undefined) || names.length > 3 ? 'on another machine' : `only on ${names.join(' and ')}`;
  return `${absent.toLocaleString('en')} recorded points are ${where}.`;
}

function columnsOf({
  steps,
  times,
  values,
}: NonNullable<SeriesJson['points']>): Pick<Columns, 'steps' | 'times' | 'values'> {
  return { steps: floats(steps), times: floats(times), values: floats(values) };
}

function tooLong(points: number): FieldbookError {
  return new FieldbookError(
    'invalid_argument',
    `The series has ${points.toLocaleString('en')} points, too many to hold at once; zoom in for what needs all of them.`,
  );
}

/** Under which the envelope of what is under a key lies. */
function bandOf(key: string): string {
  return `${key} band`;
}

function bytesOf({ x, y, band }: SeriesAnswer): number {
  return x.byteLength + y.byteLength + (band === null ? 0 : 5 * band.x.byteLength) + 256;
}
