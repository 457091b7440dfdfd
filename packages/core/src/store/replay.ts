import type { DocumentName } from '../ids.ts';
import type { BatchOperation, Storage } from '../ports.ts';
import { seal } from './checked.ts';
import * as keys from './keys.ts';
import type { DocumentMeta } from './meta.ts';
import { decodeMeta, emptyMeta, encodeMeta } from './meta.ts';

/** A commit as an archive has kept it. */
export interface ArchivedCommit {
  name: DocumentName;
  seq: number;
  generation: number;
  /** `update` is the whole document, and what was there before does not count. */
  whole: boolean;
  update: Uint8Array;
}

const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_COMMITS = 2_000;

/**
 * Puts commits behind what a store has, under the seqs that they had, as the store itself would have: the store of that
 * moment comes out. Only for a store that nobody has open, and that is a copy: whoever opens it must take other client ids
 * (the restore guard sees to it). Commits must come in the order of their seqs; those that are there already are passed
 * over. Resolves to how many were added and the last seq.
 */
export async function replayCommits(
  storage: Storage,
  commits: AsyncIterable<ArchivedCommit>,
): Promise<{ added: number; seq: number }> {
  const metas = new Map<DocumentName, DocumentMeta>();
  for await (const [key, value] of storage.range(keys.prefixRange('d/'))) {
    const name = keys.textAfter(key, 2) as DocumentName;
    metas.set(name, decodeMeta(name, value));
  }
  let last = 0;
  for (const { seq } of metas.values()) last = Math.max(last, seq);
  let batch: BatchOperation[] = [];
  let bytes = 0;
  let inBatch = 0;
  let added = 0;
  const write = async (): Promise<void> => {
    if (batch.length > 0) await storage.batch(batch, { sync: true });
    batch = [];
    bytes = 0;
    inBatch = 0;
  };
  for await (const { name, seq, generation, whole, update } of commits) {
    const before = metas.get(name) ?? emptyMeta(name);
    // A damaged document stays as it is, for repair.
    if (before.quarantined !== null || seq <= before.seq || generation < before.generation) continue;
    let now: DocumentMeta = before;
    if (whole || generation > before.generation) {
      await write();
      for (const part of [keys.logKey, keys.snapshotKey])
        for await (const key of storage.keys({ gte: part(name, 0), lte: part(name, Number.MAX_SAFE_INTEGER) }))
          batch.push({ type: 'del', key });
      now = { ...emptyMeta(name), seq: before.seq };
    }
    const next = {
      ...now,
      seq,
      generation,
      clientId: null,
      nextClock: 0,
      logCount: now.logCount + 1,
      logBytes: now.logBytes + update.length,
    };
    metas.set(name, next);
    if (before.seq > 0) batch.push({ type: 'del', key: keys.feedKey(before.seq) });
    batch.push(
      { type: 'put', key: keys.logKey(name, seq), value: seal(update) },
      { type: 'put', key: keys.feedKey(seq), value: keys.metaKey(name).slice(2) },
      { type: 'put', key: keys.metaKey(name), value: encodeMeta(next) },
    );
    last = Math.max(last, seq);
    added += 1;
    bytes += update.length;
    inBatch += 1;
    if (bytes >= BATCH_BYTES || inBatch >= BATCH_COMMITS) await write();
  }
  await write();
  return { added, seq: last };
}

/** The seq of an entry of the feed; undefined for every other key of a store. The highest of a store is its last commit. */
export function feedSeqOf(key: Uint8Array): number | undefined {
  return key.length === 10 && key[0] === 0x66 && key[1] === 0x2f ? keys.seqOf(key) : undefined;
}
