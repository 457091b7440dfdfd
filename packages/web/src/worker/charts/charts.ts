import type { ProjectId, RunId } from '@fieldbook/core';
import { LIMITS } from '@fieldbook/core';
import type { RunGlimpse } from '../table.ts';
import type { LocalSeries } from '../local-series.ts';
import type { Project } from '../project.ts';
import type { SeriesSource } from '../series.ts';
import type {
  BandsRequest,
  Census,
  CensusRequest,
  ChartedMetric,
  ChartedRuns,
  ChartsApi,
  DrawnBand,
  DrawnLine,
  LinesRequest,
  MembersAsked,
  PointsPage,
  PointsRequest,
} from './api.ts';
import { BandSource } from './bands.ts';
import { ColumnStore } from './columns.ts';
import { readMeanings } from './definitions.ts';
import { LineSource } from './lines.ts';
import { addMembers } from './members.ts';

/** Metrics of the machine, which are on no card and have a page of their own. */
const SYSTEM = 'sys/';

/** The worker's part of charts. */
export class Charts implements ChartsApi {
  readonly #project: (id: ProjectId) => Project | undefined;
  readonly #local: Pick<LocalSeries, 'metrics'>;
  readonly #columns: ColumnStore;
  readonly #lines: LineSource;
  readonly #bands: BandSource;
  /** Paths of runs whose cards do not list them all, by run, as of its `updated`. */
  readonly #paths = new Map<RunId, { updated: number; paths: readonly string[] }>();

  constructor(options: {
    series: SeriesSource;
    local: Pick<LocalSeries, 'metrics'>;
    project: (id: ProjectId) => Project | undefined;
    stateOf: (run: RunId) => RunGlimpse | undefined;
    now: () => number;
  }) {
    const { series, local, project, stateOf, now } = options;
    this.#project = project;
    this.#local = local;
    this.#columns = new ColumnStore((run, metric, from, { count }) => series.columns(run, metric, from, count), now);
    this.#lines = new LineSource(series, this.#columns, stateOf);
    this.#bands = new BandSource(series, this.#lines, stateOf, now);
  }

  async chartRuns(
    id: ProjectId,
    runs: readonly RunId[],
    system = false,
    members: MembersAsked | null = null,
  ): Promise<ChartedRuns> {
    const project = this.#project(id);
    if (project === undefined) return { runs: [], metrics: [] };
    project.live.onValues ??= (run, live) => this.#columns.take(run, live);
    await project.prepare({ columns: project.table.glimpseColumns() });
    const states = runs.flatMap((run) => project.table.glimpse(run) ?? []);
    const metrics = new Map<string, ChartedMetric>();
    for (const state of states) {
      const meaningOf = readMeanings(state.attributes);
      for (const path of await this.#pathsOf(state, system)) {
        const summary = state.metrics.get(path as never);
        const [min, max] = [summary?.min ?? NaN, summary?.max ?? NaN];
        const known = metrics.get(path);
        const meaning = meaningOf(path);
        if (known === undefined) metrics.set(path, { path, min, max, ...meaning });
        else
          metrics.set(path, {
            path,
            min: lesser(known.min, min),
            max: -lesser(-known.max, -max),
            unit: known.unit ?? meaning.unit,
            goal: known.goal ?? meaning.goal,
            x: known.x ?? meaning.x,
          });
      }
    }
    // Of the machine there is nothing on cards, and so nothing in the table.
    if (members !== null && !system) addMembers(metrics, project.table, members);
    return {
      runs: states.map(({ id: run, name, status, created, updated }) => ({ id: run, name, status, created, updated })),
      metrics: [...metrics.values()].sort((a, b) => (a.path < b.path ? -1 : 1)),
    };
  }

  async chartLines(request: LinesRequest): Promise<DrawnLine[]> {
    return this.#lines.lines(request);
  }

  async chartBands(request: BandsRequest): Promise<DrawnBand[]> {
    return this.#bands.bands(request);
  }

  async chartCensus(request: CensusRequest): Promise<Census> {
    return this.#lines.census(request);
  }

  async chartPoints(request: PointsRequest): Promise<PointsPage> {
    return this.#lines.points(request);
  }

  async #pathsOf(state: RunGlimpse, system: boolean): Promise<readonly string[]> {
    const listed = [...state.metrics.keys()];
    if (!system && listed.length < LIMITS.cardMetrics) return listed;
    const known = this.#paths.get(state.id);
    const wanted = (path: string): boolean => path.startsWith(SYSTEM) === system;
    if (known !== undefined && known.updated >= state.updated) return known.paths.filter(wanted);
    const paths = await this.#local.metrics(state.id).catch(() => undefined);
    if (paths === undefined) return listed.filter(wanted);
    this.#paths.set(state.id, { updated: state.updated, paths });
    return paths.filter(wanted);
  }
}

function lesser(a: number, b: number): number {
  return Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.min(a, b);
}
