import type { DocumentName } from '../ids.ts';
import { utf8 } from '../ids.ts';
import type { Clock } from '../ports.ts';
import type { Replica } from '../replica/replica.ts';

/**
 * How long a peer's word that it has a blob is good while nothing there is known to name the blob. A relay keeps what somebody asked
 * for at least a day; of that a half is for what was said before a document is noted here, and a half for the document to arrive.
 */
export const WORD_MS = 12 * 60 * 60_000;

/** A document whose blobs a peer was asked for while it did not hold it. */
interface Unheld {
  /** When it was asked, ms since the epoch. */
  asked: number;
  /** The commit as of which the document names them. */
  seq: number;
}

/**
 * Documents whose blobs a peer has and which it does not hold itself: refused, or still on their way. Until it holds them nothing
 * there names those blobs, and when that takes long it lets go of them. Kept over restarts, one small value each.
 */
export class UnheldDocuments {
  readonly #replica: Pick<Replica, 'listPrivate'>;
  readonly #clock: Clock;
  readonly #prefix: string;
  readonly #documents = new Map<DocumentName, Unheld>();
  /** As on disk. */
  readonly #saved = new Set<DocumentName>();
  readonly #changed = new Set<DocumentName>();

  private constructor(replica: Pick<Replica, 'listPrivate'>, clock: Clock, prefix: string) {
    this.#replica = replica;
    this.#clock = clock;
    this.#prefix = prefix;
  }

  /** Those under `prefix` of the private values. */
  static async load(replica: Pick<Replica, 'listPrivate'>, clock: Clock, prefix: string): Promise<UnheldDocuments> {
    const unheld = new UnheldDocuments(replica, clock, prefix);
    await unheld.#load();
    return unheld;
  }

  /** As it is written. */
  static entry(prefix: string, name: DocumentName, { asked, seq }: Unheld): [string, Uint8Array] {
    return [`${prefix}${name}`, utf8(`${asked} ${seq}`)];
  }

  async #load(): Promise<void> {
    for await (const [key, value] of this.#replica.listPrivate(this.#prefix)) {
      const name = key.slice(this.#prefix.length) as DocumentName;
      const [asked = Number.NaN, seq = 0] = new TextDecoder().decode(value).split(' ').map(Number);
      this.#documents.set(name, { asked, seq });
      this.#saved.add(name);
    }
  }

  has(name: DocumentName): boolean {
    return this.#documents.has(name);
  }

  names(): DocumentName[] {
    return [...this.#documents.keys()];
  }

  /** The peer was asked for the blobs of the document as of its commit `seq`, at `asked`. */
  note(name: DocumentName, asked: number, seq: number): void {
    this.#documents.set(name, { asked, seq });
    this.#changed.add(name);
  }

  /** True when the peer may have let go of the document's blobs since it was asked. After a clock was put back nobody knows. */
  isOver(name: DocumentName): boolean {
    const unheld = this.#documents.get(name);
    if (unheld === undefined) return false;
    const passed = this.#clock.now() - unheld.asked;
    return !(passed >= 0 && passed < WORD_MS);
  }

  /** Nobody knows whether the peer has the blobs of the document as of its commit `seq`: it is to be asked once it holds it. */
  doubt(name: DocumentName, seq: number): void {
    this.note(name, Number.NaN, seq);
  }

  /** The peer keeps what it has, whatever names it. */
  forget(name: DocumentName): void {
    if (this.#documents.delete(name)) this.#changed.add(name);
  }

  /**
   * Looks whether the peer holds the document now. `absent`: not yet; `kept`: it does, and has the blobs as it said; `lapsed`: it
   * does, and is to be asked for the blobs again.
   */
  look(name: DocumentName, holds: (name: DocumentName, seq: number) => boolean): 'absent' | 'kept' | 'lapsed' {
    const unheld = this.#documents.get(name);
    if (unheld === undefined) return 'kept';
    if (!holds(name, unheld.seq)) return 'absent';
    if (this.isOver(name)) return 'lapsed';
    this.#documents.delete(name);
    this.#changed.add(name);
    return 'kept';
  }

  clear(): void {
    for (const name of [...this.#documents.keys(), ...this.#saved]) this.#changed.add(name);
    this.#documents.clear();
  }

  get isChanged(): boolean {
    return this.#changed.size > 0;
  }

  /** Has what changed written, by `put` and with whatever that writes besides. */
  async save(put: (entries: [string, Uint8Array | null][]) => Promise<void>): Promise<void> {
    const names = [...this.#changed];
    this.#changed.clear();
    const there = new Set(names.filter((name) => this.#documents.has(name)));
    const entries = names.flatMap((name): [string, Uint8Array | null][] => {
      const unheld = this.#documents.get(name);
      if (unheld === undefined && !this.#saved.has(name)) return [];
      return [
        unheld === undefined ? [`${this.#prefix}${name}`, null] : UnheldDocuments.entry(this.#prefix, name, unheld),
      ];
    });
    try {
      await put(entries);
    } catch (error) {
      for (const name of names) this.#changed.add(name);
      throw error;
    }
    for (const name of names) {
      if (there.has(name)) this.#saved.add(name);
      else this.#saved.delete(name);
    }
  }
}
