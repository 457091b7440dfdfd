import type { RunId } from '@fieldbook/core';
import { client } from '../../../state/client.svelte.ts';
import type { ConsoleLine, ConsoleQuery, ConsoleSource } from '../../../worker/run-api.ts';

/** Lines asked for at once; a screen shows some fifty. */
const CHUNK = 400;
/** Chunks in memory. */
const CHUNKS = 40;

interface Chunk {
  lines: readonly ConsoleLine[];
  /** Of the console when they were read. */
  revision: number;
}

/** A console on its page: how many lines it has, and those that somebody looks at. */
export class ConsoleLines {
  count = $state(0);
  sources = $state.raw<readonly ConsoleSource[]>([]);
  /** The first answer has come. */
  answered = $state(false);
  /** No server says how it is now. */
  stale = $state(false);
  /** Nothing of the run can be had, or reading failed, in words. */
  problem = $state<string | null>(null);
  query = $state.raw<ConsoleQuery>({ run: '' as RunId, streams: null, writers: null });
  /** Grows when lines have come. */
  #arrived = $state(0);
  readonly #chunks = new Map<number, Chunk>();
  readonly #loading = new Set<number>();
  #revision = 0;
  #refreshing = false;
  #again = false;

  constructor(query: ConsoleQuery) {
    this.query = query;
  }

  /** Shows other streams or writers. */
  choose(query: ConsoleQuery): void {
    if (JSON.stringify(query) === JSON.stringify(this.query)) return;
    this.query = query;
    this.#chunks.clear();
    this.#loading.clear();
    this.count = 0;
    this.answered = false;
    void this.refresh();
  }

  /** Looks how many lines there are now. One look at a time; what changes meanwhile is looked at once more. */
  async refresh(): Promise<void> {
    if (this.#refreshing) {
      this.#again = true;
      return;
    }
    this.#refreshing = true;
    do {
      this.#again = false;
      const { query } = this;
      try {
        const info = await client.worker.console(query);
        if (query !== this.query) {
          this.#again = true;
          continue;
        }
        this.#revision += 1;
        this.problem = info === undefined ? 'Nothing of this console is in this browser, and no server answers.' : null;
        this.count = info?.count ?? 0;
        this.sources = info?.sources ?? [];
        this.stale = info?.stale ?? true;
      } catch (error) {
        this.problem = error instanceof Error ? error.message : String(error);
      }
      this.answered = true;
      this.#arrived += 1;
    } while (this.#again);
    this.#refreshing = false;
  }

  /** A line that has come; undefined while it is on its way. */
  at(index: number): ConsoleLine | undefined {
    void this.#arrived;
    return this.#chunks.get(Math.floor(index / CHUNK))?.lines[index % CHUNK];
  }

  /** Has the lines `[from, to)` brought here, and again when there are newer ones. */
  need(from: number, to: number): void {
    void this.#arrived;
    for (let chunk = Math.floor(from / CHUNK); chunk * CHUNK < Math.min(to, this.count); chunk++) {
      if (this.#chunks.get(chunk)?.revision !== this.#revision) void this.#load(chunk);
    }
  }

  async #load(chunk: number): Promise<void> {
    if (this.#loading.has(chunk)) return;
    this.#loading.add(chunk);
    const { query } = this;
    const revision = this.#revision;
    try {
      const lines = await client.worker.consoleLines(query, chunk * CHUNK, (chunk + 1) * CHUNK);
      if (query !== this.query) return;
      this.#chunks.delete(chunk);
      this.#chunks.set(chunk, { lines, revision });
      if (this.#chunks.size > CHUNKS) this.#chunks.delete(this.#chunks.keys().next().value!);
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    } finally {
      if (query === this.query) this.#loading.delete(chunk);
    }
    this.#arrived += 1;
  }
}
