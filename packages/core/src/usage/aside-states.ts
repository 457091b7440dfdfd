import * as Y from 'yjs';
import type { RunId } from '../ids.ts';
import { runDocumentName } from '../ids.ts';
import type { Replica } from '../replica/replica.ts';

/** What a run document was before it was replaced, each time: what a repair could bring back. */
export async function* readStates(replica: Pick<Replica, 'asides' | 'asideParts'>, run: RunId): AsyncGenerator<Y.Doc> {
  for (const aside of await replica.asides(runDocumentName(run))) {
    const parts = await replica.asideParts(aside);
    const doc = new Y.Doc();
    try {
      doc.transact(() => {
        for (const part of parts) Y.applyUpdate(doc, part);
      });
      yield doc;
    } finally {
      doc.destroy();
    }
  }
}
