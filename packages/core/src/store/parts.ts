import { FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { Storage } from '../ports.ts';
import { unseal } from './checked.ts';
import { logKey, seqOf, snapshotKey } from './keys.ts';
import type { DocumentMeta } from './meta.ts';

/** Snapshot and log of a document, oldest first. Throws `store_corrupt` when a part is damaged or missing. */
export async function readParts(storage: Storage, meta: DocumentMeta): Promise<Uint8Array[]> {
  const { name, snapshotSeq } = meta;
  const parts: Uint8Array[] = [];
  if (snapshotSeq > 0) {
    const snapshot = await storage.get(snapshotKey(name, snapshotSeq));
    if (snapshot === undefined) throw new FieldbookError('store_corrupt', 'Its snapshot is missing.');
    parts.push(unseal(snapshot, 'Its snapshot'));
  }
  const updates = await readUpdates(storage, name, snapshotSeq, meta.seq);
  if (updates.length !== meta.logCount) {
    const message = `${meta.logCount} updates were stored and ${updates.length} are there.`;
    throw new FieldbookError('store_corrupt', message);
  }
  return [...parts, ...updates];
}

/** The updates of a document's log with `after < seq ≤ through`. Throws `store_corrupt`. */
export async function readUpdates(
  storage: Storage,
  name: DocumentName,
  after: number,
  through: number,
): Promise<Uint8Array[]> {
  const updates: Uint8Array[] = [];
  for await (const [key, value] of storage.range({ gt: logKey(name, after), lte: logKey(name, through) })) {
    updates.push(unseal(value, `Update ${seqOf(key)}`));
  }
  return updates;
}
