import type { RunId } from '@fieldbook/core';
import { client } from '../state/client.svelte.ts';
import type { Census, DrawnBand, DrawnLine } from '../worker/charts/api.ts';
import { censusOfBands } from '../worker/charts/census.ts';
import type { ChartGroup } from './groups.ts';
import type { Axis, ChartSettings } from './settings.ts';

/** What a panel shows. */
export interface PanelRequest extends Pick<
  ChartSettings,
  'smoothing' | 'logX' | 'logY' | 'clip' | 'centre' | 'spread'
> {
  runs: readonly RunId[];
  groups: readonly ChartGroup[] | null;
  metrics: readonly string[];
  axis: Axis;
  from: number | null;
  to: number | null;
}

/** As many as a screen has pixels, whatever the panel's size: the same values at every size. */
export const POINTS = 2_000;
/** A beat of growing runs is drawn after this time, and never takes more than a quarter of it. */
const BEAT_MS = 500;
const SHARE = 4;

/**
 * The data of one panel. One question at a time, the newest next; what is there stays until more is. Beats of growing
 * runs wait so long that reading and drawing leave the machine to others.
 */
export class PanelReading {
  lines = $state.raw<readonly DrawnLine[]>([]);
  bands = $state.raw<readonly (DrawnBand & { metric: string })[]>([]);
  /** Counts on all points, where those that are drawn do not tell. */
  census = $state.raw<Census | null>(null);
  /** What `lines` and `bands` answer. */
  answered = $state.raw<PanelRequest | null>(null);
  loading = $state(false);
  failure = $state<string | null>(null);
  /** When the answer that came last was asked for; null when it has been measured. */
  since: number | null = null;
  #wanted: PanelRequest | null = null;
  #busy = false;
  #took = 0;
  #ended = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  /** The page is hidden: the beats until it is seen again are one. */
  #waits = false;
  readonly #seen = (): void => {
    this.#waits = false;
    this.beat();
  };

  /** Asks at once. */
  ask(request: PanelRequest): void {
    this.#wanted = request;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    void this.#work();
  }

  /** There may be newer points. Many beats in a row are one. */
  beat(): void {
    if (this.#timer !== undefined || this.answered === null) return;
    const wait = Math.max(BEAT_MS, SHARE * this.#took) - (performance.now() - this.#ended);
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        if (document.hidden) {
          if (!this.#waits) document.addEventListener('visibilitychange', this.#seen, { once: true });
          this.#waits = true;
          return;
        }
        this.#wanted ??= this.answered;
        void this.#work();
      },
      Math.max(0, wait),
    );
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#seen);
  }

  async #work(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.loading = true;
    while (this.#wanted !== null && !this.#closed) {
      const request = this.#wanted;
      this.#wanted = null;
      const began = performance.now();
      try {
        const pending = await this.#read(request, began);
        this.failure = null;
        // More of the group is being read; it shows as it comes.
        if (pending) this.#wanted ??= request;
      } catch (error) {
        this.failure = error instanceof Error ? error.message : String(error);
      }
      this.#ended = performance.now();
      this.#took = this.#ended - began;
    }
    this.loading = false;
    this.#busy = false;
  }

  async #read(request: PanelRequest, began: number): Promise<boolean> {
    const { runs, groups, metrics, axis, from, to, logX, smoothing, centre, spread } = request;
    if (groups !== null) {
      const answers = await Promise.all(
        metrics.map(async (metric) => {
          const bands = await client.worker.chartBands({
            groups,
            metric,
            axis,
            from,
            to,
            logX,
            smoothing,
            centre,
            spread,
          });
          return bands.map((band) => ({ ...band, metric }));
        }),
      );
      if (this.#closed) return false;
      this.since = began;
      this.lines = [];
      this.bands = answers.flat();
      this.census = request.clip < 100 || request.logY ? censusOfBands(this.bands, request.clip) : null;
      this.answered = request;
      return this.bands.some(({ pending }) => pending > 0);
    }
    const series = metrics.flatMap((metric) => runs.map((run) => ({ run, metric })));
    const lines = await client.worker.chartLines({ series, axis, from, to, logX, smoothing, points: POINTS });
    if (this.#closed) return false;
    const counted = needsCensus(request, lines)
      ? await client.worker.chartCensus({
          series,
          axis,
          from,
          to,
          logX,
          smoothing,
          within: null,
          percent: request.clip,
        })
      : null;
    if (this.#closed) return false;
    this.since = began;
    this.bands = [];
    this.census = counted;
    this.lines = lines;
    this.answered = request;
    return false;
  }
}

/** Whether something has to be counted that the drawn points do not tell. */
function needsCensus({ clip, logY }: PanelRequest, lines: readonly DrawnLine[]): boolean {
  if (lines.length === 0) return false;
  if (clip < 100) return true;
  return lines.some(
    ({ y, band, nonFinite, buckets }) =>
      (buckets > 0 && nonFinite > 0) || (logY && (band === null ? y : band.low).some((value) => value <= 0)),
  );
}
