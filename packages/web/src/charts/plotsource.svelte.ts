import type { ProjectId } from '@fieldbook/core';
import { client } from '../state/client.svelte.ts';
import type { PlotColumn, PlotScope } from '../worker/plots-api.ts';

/** A project that changes all the time is read at most so often. */
const REREAD_MS = 1_000;

/** Columns of the runs of a scope as a chart has them. */
export interface Plotted {
  ids: readonly string[];
  columns: readonly PlotColumn[];
  /** Of which columns, for a chart whose choice has changed meanwhile. */
  asked: readonly string[];
}

/**
 * Keeps the columns that a chart shows up to date; made while a component is made. What it had stays until what it asked for is
 * there, so nothing blinks.
 */
export class PlotSource {
  plotted = $state.raw<Plotted | null>(null);
  failure = $state<string | null>(null);
  #turn = 0;

  constructor(project: () => ProjectId, scope: () => PlotScope, columns: () => readonly string[]) {
    $effect(() => {
      const [id, wanted, names] = [project(), scope(), columns()];
      void this.#read(id, wanted, names);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const stop = client.follow((change) => {
        if (change.project !== id || change.live) return;
        timer ??= setTimeout(() => {
          timer = undefined;
          void this.#read(id, wanted, names);
        }, REREAD_MS);
      });
      return () => {
        clearTimeout(timer);
        stop();
      };
    });
  }

  async #read(project: ProjectId, scope: PlotScope, names: readonly string[]): Promise<void> {
    const mine = (this.#turn += 1);
    try {
      const { ids, count, columns } = await client.worker.plot(project, $state.snapshot(scope) as PlotScope, [
        ...names,
      ]);
      if (mine !== this.#turn) return;
      this.plotted = { ids: count === 0 ? [] : ids.split('\n'), columns, asked: names };
      this.failure = null;
    } catch (error) {
      if (mine === this.#turn) this.failure = error instanceof Error ? error.message : String(error);
    }
  }
}
