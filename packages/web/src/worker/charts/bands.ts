import type { RunId } from '@fieldbook/core';
import type { RunGlimpse } from '../table.ts';
import type { ChartGroup } from '../../charts/groups.ts';
import { axisMetric } from '../../charts/settings.ts';
import type { BandsRequest, DrawnBand } from './api.ts';
import type { LineSource } from './lines.ts';
import { oddOf } from './envelope.ts';
import { factsOf, summaryOf } from './lines.ts';
import type { SeriesReading } from './lines.ts';
import { lowerPlace, upperPlace } from './places.ts';
import { smooth } from './smoothing.ts';
import { evenGrid, exactGrid, GroupStatistics } from './statistics.ts';
import type { Sample } from './statistics.ts';

/** Places of a grid: one each two or three pixels of a panel that fills half of a screen. */
const PLACES = 400;
/** Smoothing is done on a grid of the whole series, whatever stretch is shown. */
const FINE_PLACES = 2_000;
/** So many points a run, in whole, are looked at where they are. */
const FEW = 512;
/** A run's points between which means are exact: more come as half as many buckets. */
const POINTS = 1_600;
/** Runs read at once: hides the latency of a disk or a network. */
const READS = 8;
/** An answer comes within this time with what there is; whoever waits asks again. */
const PATIENCE_MS = 250;
/** A job that nobody asks for any more stops. */
const FORGOTTEN_MS = 5_000;
/** Groups of growing runs are read anew at most so often. */
const AGAIN_MS = 5_000;
/** More are kept only while they are read or looked at: one that is let go unfinished would begin anew for ever. */
const JOBS = 24;

/** The runs of a request, being read. */
interface Job {
  key: string;
  stamp: string;
  began: number;
  askedAt: number;
  /** Per group, in its order. */
  samples: Map<RunId, Sample | 'absent'>[];
  statistics: (GroupStatistics | null)[];
  members: RunId[][];
  read: number[];
  absent: number[];
  pending: number;
  done: Promise<void>;
  /** The same, being read anew because its runs went on. */
  next: Job | null;
}

/**
 * Groups of runs as a line with a band, over all runs of each group however many. Runs are read as a chart of each would be, so what was seen once
 * is there offline too, and only what a statistic needs of them stays in memory.
 */
export class BandSource {
  readonly #series: SeriesReading;
  readonly #lines: LineSource;
  readonly #stateOf: (run: RunId) => RunGlimpse | undefined;
  readonly #now: () => number;
  /** Finished or under way, in order of last use. */
  readonly #jobs = new Map<string, Job>();

  constructor(
    series: SeriesReading,
    lines: LineSource,
    stateOf: (run: RunId) => RunGlimpse | undefined,
    now: () => number,
  ) {
    this.#series = series;
    this.#lines = lines;
    this.#stateOf = stateOf;
    this.#now = now;
  }

  /** Charts that are held, finished or under way. */
  get held(): number {
    return this.#jobs.size;
  }

  async bands(request: BandsRequest): Promise<DrawnBand[]> {
    const job = this.#jobFor(request);
    // Runs that could not be read are asked for once more before anybody is told so again.
    const awaited = job.next !== null && lacks(job) ? job.next : job;
    if (awaited.pending > 0) await Promise.race([awaited.done, pause(PATIENCE_MS)]);
    const shown = awaited.pending === 0 ? awaited : job;
    const bands = request.groups.map((group, place) => this.#draw(shown, place, group, request));
    return shown === awaited
      ? bands
      : bands.map((band) => ({ ...band, pending: band.pending + band.absent, absent: 0 }));
  }

  #jobFor(request: BandsRequest): Job {
    const { groups, metric, axis, from, to, logX, centre, smoothing } = request;
    const whole = smoothing !== null;
    const range = whole ? [null, null] : [from, to];
    const key = JSON.stringify([
      groups.map(({ id, runs }) => [id, runs]),
      metric,
      axis,
      range,
      logX,
      centre === 'median',
      whole,
    ]);
    const stamp = this.#stampOf(groups, metric);
    const now = this.#now();
    const there = this.#jobs.get(key);
    if (there !== undefined) {
      there.askedAt = now;
      if (there.next !== null) there.next.askedAt = now;
      this.#jobs.delete(key);
      this.#jobs.set(key, there);
      if (
        (there.stamp === stamp && !lacks(there)) ||
        there.pending > 0 ||
        there.next !== null ||
        now - there.began < AGAIN_MS
      )
        return there;
      // What is there shows until all of it is read anew.
      const next = this.#begin(key, stamp, request, whole);
      there.next = next;
      void next.done.then(() => {
        there.next = null;
        if (next.pending === 0 && this.#jobs.has(key)) this.#jobs.set(key, next);
      });
      return there;
    }
    const job = this.#begin(key, stamp, request, whole);
    this.#jobs.set(key, job);
    for (const [oldest, { pending, next: again, askedAt }] of this.#jobs) {
      if (this.#jobs.size <= JOBS) break;
      if (pending === 0 && again === null && now - askedAt > FORGOTTEN_MS) this.#jobs.delete(oldest);
    }
    return job;
  }

  #has(run: RunId, metric: string): boolean {
    const state = this.#stateOf(run);
    return state !== undefined && summaryOf(state, metric) !== undefined;
  }

  #stampOf(groups: readonly ChartGroup[], metric: string): string {
    let newest = 0;
    let points = 0;
    for (const { runs } of groups) {
      for (const run of runs) {
        const state = this.#stateOf(run);
        newest = Math.max(newest, state?.updated ?? 0);
        points += state === undefined ? 0 : factsOf(state, metric).count;
      }
    }
    return `${newest} ${points}`;
  }

  #begin(key: string, stamp: string, request: BandsRequest, whole: boolean): Job {
    const { groups, metric, axis, logX, centre } = request;
    const members = groups.map(({ runs }) => runs.filter((run) => this.#has(run, metric)));
    const other = axisMetric(axis);
    let [low, high, most] = [Infinity, -Infinity, 0];
    for (const run of members.flat()) {
      const state = this.#stateOf(run)!;
      most = Math.max(most, summaryOf(state, metric)!.count);
      const [least, greatest] = extentOf(state, metric, axis, other);
      low = Math.min(low, least);
      high = Math.max(high, greatest);
    }
    if (!whole && request.from !== null) low = request.from;
    if (!whole && request.to !== null) high = request.to;
    if (logX && !(low > 0)) low = Math.min(1, high);
    const few = most <= FEW;
    const grid = evenGrid(low, high, whole ? FINE_PLACES : PLACES, logX);
    const now = this.#now();
    const job: Job = {
      key,
      stamp,
      began: now,
      askedAt: now,
      samples: groups.map(() => new Map()),
      // Few points are kept as they are, and looked at when all their places are known.
      statistics: groups.map(() => (few ? null : new GroupStatistics(grid, centre === 'median'))),
      members,
      read: groups.map(() => 0),
      absent: groups.map(() => 0),
      pending: members.reduce((sum, { length }) => sum + length, 0),
      done: Promise.resolve(),
      next: null,
    };
    job.done = this.#read(job, request, whole, [low, high]);
    return job;
  }

  async #read(job: Job, request: BandsRequest, whole: boolean, range: readonly [number, number]): Promise<void> {
    const queue = job.members.flatMap((runs, place) => runs.map((run) => ({ run, place })));
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < queue.length) {
        // Nobody looks any more: what is read so far stays for whoever comes back within a moment.
        if (this.#now() - job.askedAt > FORGOTTEN_MS) {
          if (this.#jobs.get(job.key) === job) this.#jobs.delete(job.key);
          return;
        }
        const { run, place } = queue[next++]!;
        const sample = await this.#sample(run, request, whole, range).catch(() => 'absent' as const);
        job.pending -= 1;
        if (sample === 'absent') job.absent[place]! += 1;
        else {
          job.read[place]! += 1;
          const statistics = job.statistics[place];
          if (statistics === null || statistics === undefined) job.samples[place]!.set(run, sample);
          else statistics.add(sample);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(READS, queue.length) }, work));
  }

  async #sample(
    run: RunId,
    { metric, axis, from, to, logX }: BandsRequest,
    whole: boolean,
    [low, high]: readonly [number, number],
  ): Promise<Sample | 'absent'> {
    const state = this.#stateOf(run)!;
    const facts = factsOf(state, metric);
    // Neighbours beyond the ends are needed for the straight lines into the range.
    const air = high - low;
    const zoomed = !whole && (from !== null || to !== null) && facts.count > POINTS;
    if (axisMetric(axis) !== null || (logX && facts.count > POINTS)) {
      const columns = await this.#lines.along(run, metric, axis);
      return columns === undefined ? 'absent' : pointsOf(columns.x, columns.y);
    }
    const shift = axis === 'relative' ? state.created : 0;
    const answer = await this.#series.read({
      run,
      metric,
      x: axis === 'step' ? 'step' : 'time',
      from: zoomed ? low - air + shift : null,
      to: zoomed ? high + air + shift : null,
      updated: facts.running ? 0 : facts.updated,
      count: facts.count,
      points: zoomed ? 3 * POINTS : POINTS,
    });
    if (answer.origin === 'absent') return 'absent';
    const moved = (x: Float64Array): Float64Array => (shift === 0 ? x : x.map((value) => value - shift));
    if (answer.band === null) return pointsOf(moved(answer.x), answer.y);
    return { ...answer.band, x: moved(answer.band.x), odd: { x: moved(answer.odd.x), kind: answer.odd.kind } };
  }

  #draw(job: Job, place: number, { id }: ChartGroup, request: BandsRequest): DrawnBand {
    const { centre, spread, smoothing, from, to, logX } = request;
    const statistics = job.statistics[place] ?? gathered([...job.samples.values()], place, request);
    const total = job.members[place]!.length;
    const made = statistics.read(centre, spread);
    const { x } = statistics.grid;
    let line = made.centre;
    if (smoothing !== null && x.length > 1) {
      const extent = x[x.length - 1]! - x[0]!;
      const unit = request.axis === 'step' || axisMetric(request.axis) !== null ? 1 : 1_000;
      const width = smoothing.unit === 'share' ? (extent * smoothing.width) / 100 : smoothing.width * unit;
      line = smooth(smoothing.kind, x, line, width);
    }
    let start = from === null ? 0 : lowerPlace(x, from);
    let end = to === null ? x.length : upperPlace(x, to);
    if (logX) start = Math.max(start, upperPlace(x, 0));
    const bare = (cell: number): boolean => made.runs[cell] === 0 && made.odd[cell] === 0;
    while (start < end && bare(start)) start += 1;
    while (end > start && bare(end - 1)) end -= 1;
    const odd = Uint32Array.from({ length: end - start }, (_, at) => start + at).filter((cell) => made.odd[cell]! > 0);
    const cut = <T extends Float64Array | Uint32Array>(column: T): T => column.slice(start, end) as T;
    const [read, absent] = [job.read[place]!, job.absent[place]!];
    return {
      group: id,
      x: cut(x),
      centre: cut(line),
      low: cut(made.low),
      high: cut(made.high),
      runs: cut(made.runs),
      oddRuns: cut(made.odd),
      odd: {
        x: Float64Array.from(odd, (cell) => x[cell]!),
        kind: Uint8Array.from(odd, (cell) => made.oddKind[cell]!),
      },
      withOdd: statistics.oddRuns(start, end),
      total,
      read,
      pending: total - read - absent,
      absent,
      points: statistics.points,
    };
  }
}

/** Statistics of few points: where they are, when all groups together have few places, else on a grid. */
function gathered(
  groups: readonly Map<RunId, Sample | 'absent'>[],
  place: number,
  request: BandsRequest,
): GroupStatistics {
  const places = new Set<number>();
  let [low, high] = [Infinity, -Infinity];
  for (const samples of groups) {
    for (const sample of samples.values()) {
      if (sample === 'absent') continue;
      for (const at of sample.x) {
        if (request.logX && !(at > 0)) continue;
        if (places.size <= FEW) places.add(at);
        if (at < low) low = at;
        if (at > high) high = at;
      }
    }
  }
  const few = places.size <= FEW;
  const grid = few ? exactGrid(Float64Array.from(places).sort()) : evenGrid(low, high, FINE_PLACES, request.logX);
  const statistics = new GroupStatistics(grid, request.centre === 'median');
  for (const sample of groups[place]!.values()) if (sample !== 'absent') statistics.add(sample);
  return statistics;
}

function pointsOf(x: Float64Array, y: Float64Array): Sample {
  const { odd } = oddOf(x, y);
  return { x, mean: y, low: y, high: y, count: new Float64Array(y.length).fill(1), odd };
}

/** Where a run's points lie on an axis, as its card has it. */
function extentOf(
  state: RunGlimpse,
  metric: string,
  axis: BandsRequest['axis'],
  other: string | null,
): [number, number] {
  const { lastStep, minStep, maxStep } = summaryOf(state, metric)!;
  if (other !== null) {
    const along = summaryOf(state, other);
    return along === undefined || Number.isNaN(along.min) ? [Infinity, -Infinity] : [along.min, along.max];
  }
  if (axis === 'step') {
    const steps = [0, lastStep, minStep, maxStep].filter((step) => Number.isFinite(step));
    return [Math.min(...steps), Math.max(...steps)];
  }
  const end = state.ended ?? state.updated;
  return axis === 'relative' ? [0, Math.max(0, end - state.created)] : [state.created, end];
}

/** Some of its runs could not be had. */
function lacks({ absent }: Job): boolean {
  return absent.some((runs) => runs > 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
