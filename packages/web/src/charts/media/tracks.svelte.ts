import type { RunId } from '@fieldbook/core';
import { client } from '../../state/client.svelte.ts';
import type { SeriesOffer, Track } from './steps.ts';
import { offersOf, trackOf } from './steps.ts';

/** Steps of one series of one run that a slider has. More would be a film. */
const STEPS = 2_000;
/** A running run logs more: looked at again not more often than this. */
const REREAD_MS = 2_000;

export const trackKey = (run: string, series: string): string => `${run} ${series}`;

/** What runs have logged under several series; read once and again when a run changes. Made while a component is made. */
export class Tracks {
  tracks = $state.raw<ReadonlyMap<string, Track>>(new Map());
  offers = $state.raw<readonly SeriesOffer[] | null>(null);
  /** In words; null while everything can be read. */
  problem = $state<string | null>(null);
  #turn = 0;

  constructor(runs: () => readonly RunId[], series: () => readonly string[]) {
    $effect(() => {
      const [ids, paths] = [runs(), series()];
      void client.online;
      void this.#read(ids, paths);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const stop = client.follow((change) => {
        if (!change.runs.some((run) => ids.includes(run))) return;
        timer ??= setTimeout(() => {
          timer = undefined;
          void this.#read(ids, paths);
        }, REREAD_MS);
      });
      return () => {
        clearTimeout(timer);
        stop();
      };
    });
  }

  async #read(runs: readonly RunId[], series: readonly string[]): Promise<void> {
    const mine = (this.#turn += 1);
    const found = new Map<string, Track>();
    let problem: string | null = null;
    const lists = await Promise.all(
      runs.map(async (run) => {
        try {
          const list = await client.worker.media(run);
          await Promise.all(
            series
              .filter((path) => list.some((each) => each.path === path))
              .map(async (path) => {
                const { rows, more, missing } = await client.worker.mediaRows(run, { path, limit: STEPS });
                found.set(trackKey(run, path), trackOf(rows, more, missing));
              }),
          );
          return list;
        } catch (error) {
          problem =
            (error as Error).name === 'peer_unreachable'
              ? 'Nobody answers, and this browser has not seen all of these runs before.'
              : (error as Error).message;
          return [];
        }
      }),
    );
    if (mine !== this.#turn) return;
    this.tracks = found;
    this.offers = offersOf(lists);
    this.problem = problem;
  }
}

/** Series of images and the like that any of these runs has. */
export async function seriesOf(runs: readonly RunId[]): Promise<readonly SeriesOffer[]> {
  return offersOf(await Promise.all(runs.map((run) => client.worker.media(run).catch(() => []))));
}
