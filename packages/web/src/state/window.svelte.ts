import type { ProjectId, RunId } from '@fieldbook/core';
import type { QueryProblem, Row, View, Window } from '../worker/api.ts';
import { client } from './client.svelte.ts';

/** Rows asked for beyond each end of what is visible: a flick of the wheel stays inside. */
const AHEAD = 60;

/**
 * The rows of a table that are near the visible ones. The worker has all of them; this asks for a window, keeps the
 * last answer while the next one comes, and asks again when runs change.
 */
export class RowWindow {
  rows = $state.raw<Row[]>([]);
  first = $state(0);
  total = $state(0);
  all = $state(0);
  error = $state.raw<QueryProblem | null>(null);
  /** Books are still coming. */
  loading = $state(true);
  /** At least one answer has come. */
  answered = $state(false);
  readonly #project: ProjectId;
  #view: View;
  #columns: readonly string[];
  #wanted = { first: 0, count: 40 };
  #busy = false;
  #again = false;
  #stop: () => void;

  constructor(project: ProjectId, view: View, columns: readonly string[]) {
    this.#project = project;
    this.#view = view;
    this.#columns = columns;
    this.#stop = client.follow((change) => {
      if (change.project === project) this.refresh();
    });
    this.refresh();
  }

  close(): void {
    this.#stop();
  }

  row(index: number): Row | undefined {
    return this.rows[index - this.first];
  }

  find(id: string): { index: number; row: Row } | undefined {
    const at = this.rows.findIndex((row) => row.id === id);
    return at === -1 ? undefined : { index: this.first + at, row: this.rows[at]! };
  }

  show(view: View, columns: readonly string[]): void {
    this.#view = view;
    this.#columns = columns;
    this.refresh();
  }

  /** These rows are visible. */
  want(first: number, count: number): void {
    this.#wanted = { first, count };
    const end = Math.min(first + count, this.total);
    if (this.answered && first >= this.first && end <= this.first + this.rows.length) return;
    this.refresh();
  }

  /** Ids between two places of the order, wherever they are. */
  async ids(first: number, count: number): Promise<RunId[]> {
    return client.worker.idsOf(this.#project, this.#view, first, count);
  }

  refresh(): void {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#busy = true;
    do {
      this.#again = false;
      const { first, count } = this.#wanted;
      const start = Math.max(0, first - AHEAD);
      const window = await client.worker.window(this.#project, {
        ...this.#view,
        columns: this.#columns,
        first: start,
        count: count + first - start + AHEAD,
      });
      this.#take(window);
    } while (this.#again);
    this.#busy = false;
  }

  #take(window: Window): void {
    this.rows = window.rows;
    this.first = window.first;
    this.total = window.total;
    this.all = window.all;
    this.error = window.error;
    this.loading = window.loading;
    this.answered = true;
  }
}
