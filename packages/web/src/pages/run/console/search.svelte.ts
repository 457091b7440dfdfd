import * as Comlink from 'comlink';
import { client } from '../../../state/client.svelte.ts';
import { joinNumbers } from '../../../worker/joined.ts';
import type { ConsoleQuery, SearchProgress } from '../../../worker/run-api.ts';

export interface SearchFor {
  text: string;
  pattern: boolean;
  matchCase: boolean;
}

let searches = 0;

/** A search through all lines of a console, in the worker: it can be watched, stopped, and goes on when lines come. */
export class ConsoleSearch {
  /** Numbers of lines that have it, ascending. */
  found = $state.raw<Uint32Array>(new Uint32Array());
  searched = $state(0);
  busy = $state(false);
  problem = $state<string | null>(null);
  #name: string | null = null;
  #asked: { query: ConsoleQuery; what: SearchFor } | null = null;
  /** Lines that were there when it ended. */
  #through = 0;

  get text(): string {
    return this.#asked?.what.text ?? '';
  }

  /** Begins anew in so many lines; an empty text ends it. */
  start(query: ConsoleQuery, what: SearchFor, count: number): void {
    this.stop();
    this.found = new Uint32Array();
    this.searched = 0;
    this.problem = null;
    this.#through = 0;
    this.#asked = what.text === '' ? null : { query, what };
    this.goOn(count);
  }

  /** Looks through lines that have come since. */
  goOn(count: number): void {
    if (this.#asked !== null && !this.busy && this.problem === null && count > this.#through)
      void this.#run(this.#through, count);
  }

  stop(): void {
    if (this.#name !== null) void client.worker.consoleCancel(this.#name);
    this.#name = null;
    this.busy = false;
  }

  /** The line found next after one, or before it; round at the ends. Null when there is none. */
  beside(line: number, forwards: boolean): number | null {
    const { found } = this;
    if (found.length === 0) return null;
    const at = lowerBound(found, line);
    if (forwards) return found[found[at] === line ? (at + 1) % found.length : at % found.length]!;
    return found[(at - 1 + found.length) % found.length]!;
  }

  /** Which of those found a line is, from 1; 0 when it is none. */
  placeOf(line: number): number {
    const at = lowerBound(this.found, line);
    return this.found[at] === line ? at + 1 : 0;
  }

  has(line: number): boolean {
    return this.placeOf(line) > 0;
  }

  async #run(from: number, count: number): Promise<void> {
    const { query, what } = this.#asked!;
    const name = `search ${(searches += 1)}`;
    this.#name = name;
    this.busy = true;
    // What is found anew of the last lines, as of one that was still being written, is not counted twice.
    const before = this.found.subarray(0, lowerBound(this.found, from));
    const lists: Uint32Array[] = [before];
    const take = ({ searched, found }: SearchProgress): void => {
      if (this.#name !== name) return;
      this.searched = searched;
      if (found.length === 0) return;
      lists.push(found);
      this.found = joinNumbers(lists);
      lists.splice(0, lists.length, this.found);
    };
    try {
      const { searched, cancelled } = await client.worker.consoleSearch(
        query,
        { name, ...what, from },
        Comlink.proxy(take),
      );
      if (this.#name !== name) return;
      // Though there should be fewer than was thought, the same lines are not asked for again and again.
      if (!cancelled) this.#through = Math.max(searched, count);
      if (from === 0 || before.length !== this.found.length || lists.length === 1) this.found = joinNumbers(lists);
    } catch (error) {
      if (this.#name === name) this.problem = error instanceof Error ? error.message : String(error);
    }
    if (this.#name === name) {
      this.#name = null;
      this.busy = false;
    }
  }
}

function lowerBound(sorted: Uint32Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
