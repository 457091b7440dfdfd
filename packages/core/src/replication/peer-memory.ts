import type { DocumentName } from '../ids.ts';
import { decodeRecord, encodeRecord } from '../record/index.ts';
import type { Value } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';

/** Why one side does not take a document from the other. */
export interface Refusal {
  seq: number;
  code: string;
  reason: string;
}

/** What is written down of refused documents; with more of them something is wrong that names do not explain. */
const REFUSALS_MAX = 1_000;
const MEMORY_BYTES = 4 * 1024 * 1024;

/**
 * What this replica knows of one other replica, kept over connections and restarts under `peer/<replica id>`: how far
 * each has taken in the other's feed, and which documents one of them refused. Seqs count in the feed of the side that
 * made the commits.
 */
export class PeerMemory {
  readonly id: string;
  readonly #replica: Replica;
  /** Their feed is durable here through this seq of theirs. */
  pulled = 0;
  /** Our feed is durable there through this seq of ours. */
  pushed = 0;
  /** Documents above `pushed` that they hold through a seq of ours all the same. */
  readonly held = new Map<DocumentName, number>();
  /** Documents of ours that they refused. */
  readonly refusedThere = new Map<DocumentName, Refusal>();
  /** Documents of theirs that we refused; asked for again on each connection. */
  readonly refusedHere = new Map<DocumentName, Refusal>();
  /** Documents that were passed over because nobody could say whether they may see them. */
  readonly unplaced = new Set<DocumentName>();
  #saving: Promise<void> | undefined;
  #dirty = false;

  constructor(id: string, replica: Replica) {
    this.id = id;
    this.#replica = replica;
  }

  async load(): Promise<void> {
    const bytes = await this.#replica.getPrivate(`peer/${this.id}`);
    const fields = bytes === undefined ? undefined : decodeRecord(bytes, MEMORY_BYTES);
    if (fields === undefined) return;
    this.pulled = Number(fields['i'] ?? 0);
    // A replica that proved to be a copy has a new id and a new feed; what they held of the old one says nothing.
    if (fields['s'] === this.#replica.id) {
      this.pushed = Number(fields['o'] ?? 0);
      readRefusals(fields['t'], this.refusedThere);
      if (Array.isArray(fields['u']))
        for (const name of fields['u']) if (typeof name === 'string') this.unplaced.add(name as DocumentName);
    }
    readRefusals(fields['h'], this.refusedHere);
  }

  /** They said, at the start of a connection, how far they hold our feed: whatever we thought before. */
  resumed(seq: number): void {
    this.pushed = seq;
    this.held.clear();
  }

  /** Our feed is durable there through `seq`. */
  reached(seq: number): void {
    if (seq <= this.pushed) return;
    this.pushed = seq;
    for (const [name, held] of this.held) if (held <= seq) this.held.delete(name);
  }

  hold(name: DocumentName, seq: number): void {
    if (seq > this.pushed && seq > (this.held.get(name) ?? 0)) this.held.set(name, seq);
    const refused = this.refusedThere.get(name);
    if (refused !== undefined && refused.seq <= seq) this.refusedThere.delete(name);
  }

  /** The seq of ours through which they hold a document, as far as its last commit `seq` is concerned. */
  holds(name: DocumentName, seq: number): boolean {
    const refused = this.refusedThere.get(name);
    if (refused !== undefined) return false;
    return seq <= this.pushed || seq <= (this.held.get(name) ?? 0);
  }

  refuse(side: 'here' | 'there', name: DocumentName, refusal: Refusal): void {
    const map = side === 'here' ? this.refusedHere : this.refusedThere;
    if (map.size < REFUSALS_MAX || map.has(name)) map.set(name, refusal);
  }

  /** Writes it down; calls made while one write is under way share the next. */
  save(): Promise<void> {
    this.#dirty = true;
    this.#saving ??= this.#write();
    return this.#saving;
  }

  async #write(): Promise<void> {
    try {
      await Promise.resolve();
      while (this.#dirty) {
        this.#dirty = false;
        const bytes = encodeRecord({
          i: this.pulled,
          o: this.pushed,
          s: this.#replica.id,
          t: writeRefusals(this.refusedThere),
          h: writeRefusals(this.refusedHere),
          ...(this.unplaced.size === 0 ? {} : { u: [...this.unplaced] }),
        });
        await this.#replica.putPrivate([[`peer/${this.id}`, bytes]]);
      }
    } finally {
      // In the same turn that saw nothing more to write: whoever saves any later must start a write of its own.
      this.#saving = undefined;
    }
  }
}

/** The memories of all peers of one replica: one object each, so that two connections of a peer agree. */
export class PeerMemories {
  readonly #replica: Replica;
  readonly #open = new Map<string, Promise<PeerMemory>>();

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  of(id: string): Promise<PeerMemory> {
    let memory = this.#open.get(id);
    if (memory === undefined) {
      const fresh = new PeerMemory(id, this.#replica);
      memory = fresh.load().then(() => fresh);
      memory.catch(() => this.#open.delete(id));
      this.#open.set(id, memory);
    }
    return memory;
  }
}

function writeRefusals(refusals: ReadonlyMap<DocumentName, Refusal>): Value[] {
  return [...refusals].map(([name, { seq, code, reason }]) => [name, seq, code, reason]);
}

function readRefusals(value: Value, into: Map<DocumentName, Refusal>): void {
  if (!Array.isArray(value)) return;
  for (const each of value) {
    if (!Array.isArray(each)) continue;
    const [name, seq, code, reason] = each;
    if (typeof name !== 'string' || typeof seq !== 'number') continue;
    if (typeof code !== 'string' || typeof reason !== 'string') continue;
    into.set(name as DocumentName, { seq, code, reason });
  }
}
