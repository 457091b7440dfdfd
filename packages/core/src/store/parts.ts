import { asFieldbookError, FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { Storage } from '../ports.ts';
import { unseal } from './checked.ts';
import { logKey, metaKey, seqOf, snapshotKey } from './keys.ts';
import type { DocumentMeta } from './meta.ts';
import { decodeMeta } from './meta.ts';

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

/** As `readParts`, whatever is left of it: the parts that are whole, leftovers of compactions too, and in words what is not. */
export async function salvageParts(
  storage: Storage,
  name: DocumentName,
  meta: DocumentMeta | undefined,
): Promise<{ parts: Uint8Array[]; damage: string[] }> {
  const parts: Uint8Array[] = [];
  const damage: string[] = [];
  const take = (what: string, value: Uint8Array): boolean => {
    try {
      parts.push(unseal(value, what));
      return true;
    } catch (error) {
      damage.push(asFieldbookError(error).message);
      return false;
    }
  };
  const snapshots = { gte: snapshotKey(name, 0), lte: snapshotKey(name, Number.MAX_SAFE_INTEGER) };
  let snapshot = false;
  for await (const [key, value] of storage.range(snapshots))
    snapshot = take(`Snapshot ${seqOf(key)}`, value) || snapshot;
  if (!snapshot && (meta?.snapshotSeq ?? 0) > 0) damage.push('Its snapshot is missing.');
  let count = 0;
  const logged = { gte: logKey(name, 0), lte: logKey(name, Number.MAX_SAFE_INTEGER) };
  for await (const [key, value] of storage.range(logged)) {
    take(`Update ${seqOf(key)}`, value);
    if (seqOf(key) > (meta?.snapshotSeq ?? 0)) count += 1;
  }
  const lacking = (meta?.logCount ?? 0) - count;
  if (lacking > 0) damage.push(`${lacking} of ${meta!.logCount} updates are missing.`);
  return { parts, damage };
}

/** A document of a storage that nobody has open as a store, e.g. a backup; undefined when it is not there. Throws `store_corrupt`. */
export async function readStored(
  storage: Storage,
  name: DocumentName,
): Promise<{ generation: number; parts: Uint8Array[] } | undefined> {
  const entry = await storage.get(metaKey(name));
  if (entry === undefined) return undefined;
  const meta = decodeMeta(name, entry);
  if (meta.quarantined !== null) throw new FieldbookError('store_corrupt', meta.quarantined);
  return { generation: meta.generation, parts: await readParts(storage, meta) };
}
