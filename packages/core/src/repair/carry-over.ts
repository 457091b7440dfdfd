import type * as Y from 'yjs';
import { FieldbookError } from '../errors.ts';
import { compareCards } from '../fold/run.ts';
import type { DeviceId, DocumentName } from '../ids.ts';
import type { Repair } from '../record/index.ts';
import { decodeCard, decodeEntry, readRepairs, removalDigest, REPAIRS } from '../record/index.ts';
import { isNote, originOf, sameBytes, slotsOf, valueOf } from './document-records.ts';

export interface CarryOptions {
  /** Generation of the document that the records come from. */
  generation: number;
  /** This device: of its own records it knows best. Null for a document that came from elsewhere, e.g. in a bundle. */
  device: DeviceId | null;
}

/** What was added to the rebuilt document, and what was not because a repair removed it. */
export interface Carried {
  added: number;
  removed: number;
}

/**
 * Adds to a rebuilt document (`to`, inside a transaction) what an older generation of it (`from`) holds that whoever
 * rebuilt it did not know. What was known then and is not there was left out on purpose, and stays out.
 */
export function carryOver(name: DocumentName, from: Y.Doc, to: Y.Doc, options: CarryOptions): Carried {
  const repairs = readRepairs(to).filter((repair) => repair.to > options.generation);
  // Of a lineage that nothing is noted of, everything is news.
  const seen = repairs.find((repair) => repair.from === options.generation)?.seen ?? new Map<number, number>();
  const isKnown = (client: number, clock: number): boolean => clock < (seen.get(client) ?? 0);
  const carried: Carried = { added: 0, removed: 0 };
  // Places in a note's text mean nothing in another one, and which of its characters were known cannot be noted in it.
  if (isNote(name)) return carried;
  for (const { map, key, item } of slotsOf(from)) {
    if (map === REPAIRS) continue;
    const held = to.getMap<Uint8Array>(map).get(key);
    const bytes = valueOf(item);
    if (bytes === undefined) {
      // Only its writer deletes an entry, so our own deletions hold.
      if (item.deleted && held !== undefined && isOwnEntry(map, held, options.device)) to.getMap(map).delete(key);
      continue;
    }
    if (isKnown(item.id.client, item.id.clock) || (held !== undefined && sameBytes(held, bytes))) continue;
    if (isRemoved(repairs, options.generation, map, key, bytes, item.id.client)) {
      carried.removed += 1;
      continue;
    }
    if (held !== undefined && !isNewer(map, bytes, held, options.device)) continue;
    to.getMap<Uint8Array>(map).set(key, bytes);
    carried.added += 1;
  }
  return carried;
}

function isRemoved(
  repairs: readonly Repair[],
  generation: number,
  map: string,
  key: string,
  bytes: Uint8Array,
  client: number,
): boolean {
  if (repairs.length === 0) return false;
  const digest = repairs.some(({ removed }) => removed.size > 0) ? removalDigest(map, key, bytes) : '';
  const { device } = originOf(map, bytes);
  return repairs.some(
    (repair) =>
      repair.removed.has(digest) ||
      (device !== null && repair.devices.includes(device)) ||
      // Ids of clients mean something in the generation that they wrote in.
      (repair.from === generation && repair.clients.includes(client)),
  );
}

function isOwnEntry(map: string, bytes: Uint8Array, device: DeviceId | null): boolean {
  return map === 'entries' && device !== null && originOf(map, bytes).device === device;
}

/** Whether `bytes` say more than what the rebuilt document has under the same key. */
function isNewer(map: string, bytes: Uint8Array, held: Uint8Array, device: DeviceId | null): boolean {
  try {
    if (map === 'cards') {
      const [ours, theirs] = [decodeCard(bytes), decodeCard(held)];
      return ours !== undefined && theirs !== undefined && compareCards(ours, theirs) > 0;
    }
    if (map !== 'entries') return false;
    const [ours, theirs] = [decodeEntry(bytes), decodeEntry(held)];
    if (ours === undefined || theirs === undefined || ours.kind !== theirs.kind) return false;
    if (
      'ordinal' in ours &&
      'ordinal' in theirs &&
      typeof ours.ordinal === 'number' &&
      typeof theirs.ordinal === 'number'
    )
      return ours.ordinal > theirs.ordinal;
    return device !== null && ours.device === device;
  } catch (error) {
    if (error instanceof FieldbookError) return false;
    throw error;
  }
}
