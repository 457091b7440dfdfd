import { Book } from '../documents/index.ts';
import type { BookMonth, DocumentName, ProjectId, RunId } from '../ids.ts';
import { bookName } from '../ids.ts';
import type { Replica } from '../replica/replica.ts';

/**
 * The month under which a project's book of collected records goes: of single runs that came by bundle. No run began then, so no
 * machine writes cards there beside those who take bundles in. In the book of the runs' own month a copied card and the one that its
 * machine writes would be two values of one key without an order, and an older copy could hide a newer card for ever; folds read all
 * books together and take the better card.
 */
export const COLLECTED_MONTH = '0000-01' as BookMonth;

export function collectedBook(project: ProjectId): DocumentName {
  return bookName(project, COLLECTED_MONTH);
}

/** What all books of a project hold of some runs, by key; the better of two cards of one key is not chosen here. */
export interface Held {
  cards: Map<string, Uint8Array[]>;
  edits: Map<string, Uint8Array>;
}

/** Reads every book of a project; `wanted` says of which runs. Edits name their run inside, so all of them are seen. */
export async function heldRecords(
  replica: Pick<Replica, 'list' | 'read'>,
  project: ProjectId,
  wanted: (run: RunId) => boolean,
  runOfEdit: (bytes: Uint8Array) => RunId | undefined,
): Promise<Held> {
  const held: Held = { cards: new Map(), edits: new Map() };
  for await (const { name, quarantined } of replica.list(`book/${project}/`)) {
    if (quarantined) continue;
    await replica.read(name, (doc) => {
      const book = new Book(doc);
      for (const [key, bytes] of book.cards()) {
        if (!wanted(key.slice(0, key.indexOf('/')) as RunId)) continue;
        const same = held.cards.get(key);
        if (same === undefined) held.cards.set(key, [bytes]);
        else same.push(bytes);
      }
      for (const [key, bytes] of book.edits()) {
        const run = runOfEdit(bytes);
        if (run !== undefined && wanted(run)) held.edits.set(key, bytes);
      }
    });
  }
  return held;
}
