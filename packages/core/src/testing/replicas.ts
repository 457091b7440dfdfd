import * as Y from 'yjs';
import { Book } from '../documents/index.ts';
import type { DocumentName } from '../ids.ts';
import type { Storage } from '../ports.ts';
import type { Edit } from '../record/index.ts';
import { openReplica } from '../replica/index.ts';
import type { Replica, ReplicaOptions } from '../replica/index.ts';
import { SeededRandom } from './random.ts';
import { makeTestEdit, testDevice } from './records.ts';

export const BOOK = 'book/mnist/2026-11' as DocumentName;
export const RUN = 'run/run-1' as DocumentName;

const random = new SeededRandom(99);
const device = testDevice(random);

/** A replica with a device of its own. */
export function openTestReplica(storage: Storage, options: Partial<ReplicaOptions> = {}): Promise<Replica> {
  return openReplica({ storage, device, random, ...options });
}

/** Ids of the edits in a book, sorted. */
export function editsOf(replica: Replica, name = BOOK): Promise<string[]> {
  return replica.read(name, (doc) => [...new Book(doc).edits()].map(([key]) => key).sort());
}

export async function addEdit(replica: Replica, edit: Edit = makeTestEdit()): Promise<string> {
  await replica.transact(BOOK, (doc) => new Book(doc).addEdit(edit));
  return edit.id;
}

/** The Yjs clients that have written to a document. */
export async function clientIdsOf(replica: Replica, name = BOOK): Promise<number[]> {
  const { update } = await replica.encodeState(name);
  return [...Y.decodeStateVector(Y.encodeStateVectorFromUpdate(update)).keys()];
}
