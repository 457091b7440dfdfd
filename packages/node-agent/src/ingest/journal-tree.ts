import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { WriterId } from '@fieldbook/core';

/** The files of one writer, by rotation number. */
export interface WriterFiles {
  writer: WriterId;
  files: Map<number, string>;
  /** The highest number. */
  last: number;
}

export interface TreeProblem {
  path: string;
  code: string;
}

interface Directory {
  mtimeMs: number;
  /** Our clock when its names were last read; 0 never. */
  readAt: number;
  names: Set<string>;
}

const FILE = /^([0-9a-hjkmnp-tv-z]{26})\.(\d{6,9})\.fbj$/;
/** A name may appear in the same tick of a file system's clock as our reading, so fresh directories are read again. */
const FRESH = 3_000;
/** However the clocks of file servers behave, every directory's names are read anew after this. */
const STALE = 10 * 60_000;
/** Directories of runs at rest that one look around visits: a few ms of stat calls, however many there are. */
const COLD_VISITS = 200;

/**
 * Knows which journals there are under some roots: `<root>/<project>/<run>/<writer>.<number>.fbj`. A look around costs a
 * stat per project, per run in use, and for a bounded number of runs at rest in turn.
 */
export class JournalTree {
  readonly #writers = new Map<WriterId, WriterFiles>();
  readonly #roots: readonly string[];
  readonly #now: () => number;
  readonly #directories = new Map<string, Directory>();
  /** Run directories, in the order in which they are visited when cold. */
  readonly #runs = new Set<string>();
  #problems = new Map<string, TreeProblem>();

  constructor(roots: readonly string[], now: () => number) {
    this.#roots = roots;
    this.#now = now;
  }

  /** Directories that cannot be read. */
  get problems(): Iterable<TreeProblem> {
    return this.#problems.values();
  }

  /** Project directories, for watching. */
  projects(): string[] {
    return this.#roots.flatMap((root) =>
      [...(this.#directories.get(root)?.names ?? [])].map((name) => join(root, name)),
    );
  }

  /**
   * Looks around; returns the writers of every directory visited. `hot` are run directories to visit in any case; `full`
   * visits all and trusts nothing it knew.
   */
  async look(hot: ReadonlySet<string>, full: boolean): Promise<Set<WriterFiles>> {
    const found = new Set<WriterFiles>();
    const visit = new Set(full ? this.#runs : hot);
    for (const root of this.#roots) {
      for (const project of await this.#subdirectories(root, full)) {
        for (const run of await this.#subdirectories(project, full)) {
          if (this.#runs.has(run)) continue;
          this.#runs.add(run);
          visit.add(run);
        }
      }
    }
    if (!full) for (const run of this.#nextCold()) visit.add(run);
    for (const run of visit) await this.#visit(run, full, found);
    return found;
  }

  #nextCold(): string[] {
    const cold: string[] = [];
    for (const run of this.#runs) {
      cold.push(run);
      if (cold.length === COLD_VISITS) break;
    }
    // To the end of the queue.
    for (const run of cold) {
      this.#runs.delete(run);
      this.#runs.add(run);
    }
    return cold;
  }

  async #visit(path: string, full: boolean, found: Set<WriterFiles>): Promise<void> {
    const before = this.#directories.get(path)?.names;
    const names = await this.#names(path, full);
    for (const name of before ?? []) if (names?.has(name) !== true) this.#remove(path, name);
    if (names === undefined) {
      this.#runs.delete(path);
      return;
    }
    for (const name of names) {
      const match = FILE.exec(name);
      if (match === null) continue;
      const writer = match[1] as WriterId;
      const number = Number(match[2]);
      let files = this.#writers.get(writer);
      if (files === undefined) {
        files = { writer, files: new Map(), last: number };
        this.#writers.set(writer, files);
      }
      // The same journal may lie under two roots, as a copy; the one found first is read.
      if (!files.files.has(number)) files.files.set(number, join(path, name));
      if (number > files.last || files.files.size === 1) files.last = number;
      found.add(files);
    }
  }

  #remove(path: string, name: string): void {
    const match = FILE.exec(name);
    if (match === null) return;
    const files = this.#writers.get(match[1] as WriterId);
    if (files?.files.get(Number(match[2])) !== join(path, name)) return;
    // Without files it stays known: a copy that unlinks what it replaces brings them back, and whoever follows this object goes on.
    files.files.delete(Number(match[2]));
    if (files.files.size > 0) files.last = Math.max(...files.files.keys());
  }

  async #subdirectories(path: string, full: boolean): Promise<string[]> {
    const names = await this.#names(path, full);
    return names === undefined ? [] : [...names].map((name) => join(path, name));
  }

  /** The names in a directory, from memory while it has not changed; undefined when it is not there or not to be read. */
  async #names(path: string, full: boolean): Promise<ReadonlySet<string> | undefined> {
    const now = this.#now();
    const known = this.#directories.get(path);
    try {
      const { mtimeMs } = await stat(path);
      const sure = known !== undefined && known.mtimeMs === mtimeMs && Math.abs(known.readAt - mtimeMs) > FRESH;
      if (!full && sure && now - known.readAt < STALE) return known.names;
      const names = new Set((await readdir(path)).filter((name) => !name.startsWith('.')));
      this.#directories.set(path, { mtimeMs, readAt: now, names });
      this.#problems.delete(path);
      return names;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
      if (code === 'ENOENT' || code === 'ENOTDIR') {
        this.#directories.delete(path);
        this.#problems.delete(path);
        return undefined;
      }
      this.#problems.set(path, { path, code });
      return known?.names;
    }
  }
}
