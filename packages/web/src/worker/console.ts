import { FieldbookError } from '@fieldbook/core';
import type { BlobStore, RunId } from '@fieldbook/core';
import type { ConsoleReader, ConsoleView } from '@fieldbook/core/objects';
import { Pattern, PatternFault } from '@fieldbook/core/query';
import type { Entry } from '@fieldbook/core/record';
import { plainText } from '../app/ansi.ts';
import { joinNumbers } from './joined.ts';
import type { Manifests } from './manifests.ts';
import type { ConsoleInfo, ConsoleLine, ConsoleQuery, ConsoleSearch, SearchProgress } from './run-api.ts';

/** The page hears of a search so often. */
const TELL_MS = 80;
/** How long a search goes on before the worker looks at its mailbox again. */
const SLICE_MS = 12;
/** Lines of a download in memory at once. */
const PAGE = 5_000;
/** Consoles that somebody looks at: one a tab. */
const VIEWS = 4;

/** Consoles of runs, read in this browser from the segments that their manifests name. */
export class Consoles {
  readonly #manifests: Pick<Manifests, 'of'>;
  readonly #blobs: Pick<BlobStore, 'read'>;
  readonly #views = new Map<string, ConsoleView>();
  readonly #cancelled = new Set<string>();
  readonly #searching = new Set<string>();
  #reader: Promise<ConsoleReader> | undefined;

  constructor(manifests: Pick<Manifests, 'of'>, blobs: Pick<BlobStore, 'read'>) {
    this.#manifests = manifests;
    this.#blobs = blobs;
  }

  async info(query: ConsoleQuery): Promise<ConsoleInfo | undefined> {
    const manifest = await this.#manifests.of(query.run);
    if (manifest === undefined) return undefined;
    const reader = await this.#ready();
    // What was not to be had a while ago may be now.
    reader.retry();
    const view = await this.#view(query, manifest.entries);
    return { count: view.count, sources: view.sources, stale: !manifest.fresh };
  }

  /** Of the view that `info` last told of, so that numbers of lines mean what the page thinks. */
  async lines(query: ConsoleQuery, from: number, to: number): Promise<ConsoleLine[]> {
    return (await this.#known(query)).read(from, to);
  }

  async search(
    query: ConsoleQuery,
    { name, text, pattern, matchCase, from }: ConsoleSearch,
    onProgress: (progress: SearchProgress) => void | Promise<void>,
  ): Promise<{ searched: number; cancelled: boolean }> {
    const accept = accepts(text, pattern, matchCase);
    const view = await this.#known(query);
    this.#searching.add(name);
    let found: Uint32Array[] = [];
    let searched = 0;
    let toldAt = performance.now();
    let sliceEnd = toldAt + SLICE_MS;
    const tell = async (): Promise<void> => {
      const news = { searched, found: joinNumbers(found) };
      found = [];
      toldAt = performance.now();
      await onProgress(news);
    };
    try {
      const through = await view.search(accept, {
        from,
        onProgress: (count, more) => {
          searched = count;
          if (more.length > 0) found.push(more);
          if (performance.now() - toldAt > TELL_MS) void tell();
        },
        pause: async () => {
          if (performance.now() < sliceEnd) return;
          await turn();
          sliceEnd = performance.now() + SLICE_MS;
        },
        isCancelled: () => this.#cancelled.has(name),
      });
      // The page has heard of the last finds before it hears of the end: they travel on another port.
      if (through) await tell();
      return { searched, cancelled: !through };
    } finally {
      this.#searching.delete(name);
      this.#cancelled.delete(name);
    }
  }

  cancel(name: string): void {
    if (this.#searching.has(name)) this.#cancelled.add(name);
  }

  async text(
    query: ConsoleQuery,
    from: number,
    to: number,
    colours: boolean,
    goesOn: (lines: number) => boolean | Promise<boolean> = () => true,
  ): Promise<Blob> {
    const view = await this.#known(query);
    const pieces: Blob[] = [];
    for (let at = from; at < Math.min(to, view.count); at += PAGE) {
      if (!(await goesOn(at - from))) throw new FieldbookError('closed', 'Stopped; nothing was saved.');
      const lines = await view.read(at, Math.min(to, at + PAGE));
      const words = lines.map((line) =>
        line.absent !== null ? absentWords(line) : colours ? line.text : plainText(line.text),
      );
      // A blob of its own: the browser may put it onto the disk.
      pieces.push(new Blob([words.map((word) => `${word}\n`).join('')]));
      await turn();
    }
    return new Blob(pieces, { type: 'text/plain' });
  }

  async #known(query: ConsoleQuery): Promise<ConsoleView> {
    const key = keyOf(query);
    // Only `info` makes views: one that a search made of an older manifest must not take the place of a newer one.
    if (!this.#views.has(key)) await this.info(query);
    return this.#views.get(key) ?? this.#view({ ...query }, []);
  }

  async #view(query: ConsoleQuery, entries: readonly Entry[]): Promise<ConsoleView> {
    const reader = await this.#ready();
    const view = await reader.view(entries, {
      streams: query.streams === null ? undefined : new Set(query.streams),
      writers: query.writers === null ? undefined : new Set(query.writers),
    });
    const key = keyOf(query);
    this.#views.delete(key);
    this.#views.set(key, view);
    if (this.#views.size > VIEWS) this.#views.delete(this.#views.keys().next().value!);
    return view;
  }

  async #ready(): Promise<ConsoleReader> {
    this.#reader ??= import('./console-segments.ts').then(({ ConsoleReader: Reader }) => new Reader(this.#blobs));
    return this.#reader.catch((error: unknown) => {
      this.#reader = undefined;
      throw error;
    });
  }
}

function keyOf({ run, streams, writers }: ConsoleQuery): string {
  return JSON.stringify([run satisfies RunId, streams, writers]);
}

/** Whether a line has what is looked for: of its letters, not of its colours. Throws `invalid_argument`. */
export function accepts(text: string, pattern: boolean, matchCase: boolean): (line: string) => boolean {
  if (pattern) {
    try {
      // Ours is linear in the line whatever somebody types.
      const compiled = new Pattern(text, !matchCase);
      return (line) => compiled.test(plainText(line));
    } catch (error) {
      if (!(error instanceof PatternFault)) throw error;
      throw new FieldbookError('invalid_argument', `${error.message}.`, { cause: error });
    }
  }
  if (matchCase) return (line) => plainText(line).includes(text);
  const wanted = text.toLowerCase();
  return (line) => plainText(line).toLowerCase().includes(wanted);
}

function absentWords({ absent }: ConsoleLine): string {
  return absent === 'corrupt' ? '[a line that cannot be read]' : '[a line on another machine]';
}

/** Lets messages in: a macrotask, as promises alone would starve them. */
function turn(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
