import { asFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { BatchOperation, KeyRange, Storage } from '../ports.ts';
import { decodeRecord, encodeRecord } from '../record/index.ts';
import { seal, unseal } from './checked.ts';
import * as keys from './keys.ts';

/** A document's bytes of before it was replaced. */
export interface Aside {
  name: DocumentName;
  /** ms since the epoch when that was; names it. */
  time: number;
  generation: number;
  /** The document's last commit then. */
  seq: number;
  /** `repair`, `adopted`, `healed`. */
  reason: string;
}

/** Of one document; older ones go. */
const KEPT = 4;
/** Bytes of one batch. */
const BATCH_BYTES = 16 * 1024 * 1024;
const HEAD_BYTES = 4 * 1024;
const TIME_BYTES = 8;

/** What documents were before they were replaced, byte for byte, damage included. */
export class Asides {
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /**
   * Copies everything that the store has of a document, by `write`, and gives what must go into the batch that replaces
   * it: the originals out, the copy's head in. Without that batch the copy means nothing and goes with the next.
   */
  async put(aside: Aside, write: (batch: BatchOperation[]) => Promise<void>): Promise<BatchOperation[]> {
    const { name, time, generation, seq, reason } = aside;
    const last: BatchOperation[] = [];
    const heads = await this.list(name);
    const keep = new Set(heads.slice(0, KEPT - 1).map((head) => head.time));
    for await (const key of this.#storage.keys(rangeOf(name)))
      if (!keep.has(timeOf(key, name))) last.push({ type: 'del', key });
    let batch: BatchOperation[] = [];
    let bytes = 0;
    for (const [part, keyOf] of PARTS) {
      const range = { gte: keyOf(name, 0), lte: keyOf(name, Number.MAX_SAFE_INTEGER) };
      for await (const [key, value] of this.#storage.range(range)) {
        batch.push({ type: 'put', key: keys.asidePartKey(name, time, part, keys.seqOf(key)), value });
        last.push({ type: 'del', key });
        bytes += value.length;
        if (bytes < BATCH_BYTES) continue;
        await write(batch);
        batch = [];
        bytes = 0;
      }
    }
    const entry = await this.#storage.get(keys.metaKey(name));
    if (entry !== undefined) batch.push({ type: 'put', key: keys.asidePartKey(name, time, 'd', 0), value: entry });
    await write(batch);
    const head = seal(encodeRecord({ g: generation, q: seq, r: reason }));
    if (entry !== undefined) last.push({ type: 'put', key: keys.asideKey(name, time), value: head });
    return last;
  }

  /** Newest first. */
  async list(name: DocumentName): Promise<Aside[]> {
    const asides: Aside[] = [];
    for await (const [key, value] of this.#storage.range(rangeOf(name))) {
      if (key.length !== keys.asideKey(name, 0).length) continue;
      try {
        const fields = decodeRecord(unseal(value, 'What was put aside'), HEAD_BYTES) ?? {};
        const { g, q, r } = fields;
        asides.unshift({
          name,
          time: keys.seqOf(key),
          generation: Number(g),
          seq: Number(q),
          reason: typeof r === 'string' ? r : '',
        });
      } catch (error) {
        asides.unshift({ name, time: keys.seqOf(key), generation: 0, seq: 0, reason: asFieldbookError(error).message });
      }
    }
    return asides;
  }

  /** Every aside of any document from before `time`: its keys and how many bytes they have. A batch with all of them takes it away. */
  async *before(time: number): AsyncGenerator<{ operations: BatchOperation[]; bytes: number }> {
    let group = '';
    let [operations, bytes]: [BatchOperation[], number] = [[], 0];
    for await (const [key, value] of this.#storage.range(keys.prefixRange('k/'))) {
      const head = key.indexOf(0) + 1 + TIME_BYTES;
      if (keys.seqOf(key.subarray(0, head)) >= time) continue;
      const of = key.subarray(0, head).join();
      if (of !== group && operations.length > 0) {
        yield { operations, bytes };
        [operations, bytes] = [[], 0];
      }
      group = of;
      operations.push({ type: 'del', key });
      bytes += key.length + value.length;
    }
    if (operations.length > 0) yield { operations, bytes };
  }

  /** Those of its parts that are whole, oldest first. */
  async parts({ name, time }: Aside): Promise<Uint8Array[]> {
    const parts: Uint8Array[] = [];
    for (const part of ['s', 'u'] as const) {
      const range = {
        gte: keys.asidePartKey(name, time, part, 0),
        lte: keys.asidePartKey(name, time, part, Number.MAX_SAFE_INTEGER),
      };
      for await (const [, value] of this.#storage.range(range)) {
        try {
          parts.push(unseal(value, 'A part'));
        } catch {
          // Damaged before it was put aside, or since.
        }
      }
    }
    return parts;
  }
}

const PARTS = [
  ['s', keys.snapshotKey],
  ['u', keys.logKey],
  ['o', keys.sourceKey],
] as const;

function rangeOf(name: DocumentName): KeyRange {
  return { gte: keys.asideKey(name, 0), lt: keys.asideKey(name, Number.MAX_SAFE_INTEGER) };
}

function timeOf(key: Uint8Array, name: DocumentName): number {
  return keys.seqOf(key.subarray(0, keys.asideKey(name, 0).length));
}
