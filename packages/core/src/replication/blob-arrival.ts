import type { DocumentName } from '../ids.ts';
import type { Replica } from '../replica/replica.ts';
import type { PeerExchange } from './peer-exchange.ts';

/**
 * Blobs that come here with a bundle, as whoever hands blobs on needs to know of them: while their documents are here and they are
 * not, an exchange looks for them in vain and moves on.
 */
export interface BlobArrival {
  /** A run's document is about to be taken in, and its blobs may follow: until `end` no peer is said to have them. */
  expect(name: DocumentName): void;
  /** Before the first of the blobs is stored: resolves when a crash cannot keep them from being offered any more. */
  keep(): Promise<void>;
  /** All that comes has come; `some`: there were blobs. To be called once, whatever else failed. */
  end(some: boolean): void;
}

/** What `exchanges` gives are those that blobs go to; asked again at the end, for those that were made meanwhile. */
export function arrivalFor(replica: Pick<Replica, 'info'>, exchanges: () => Iterable<PeerExchange>): BlobArrival {
  const names = new Set<DocumentName>();
  const told = new Set(exchanges());
  return {
    expect(name) {
      if (names.has(name)) return;
      names.add(name);
      for (const { blobs } of told) blobs.expect(name);
    },
    async keep() {
      const documents: [DocumentName, number][] = [];
      for (const name of names) {
        const info = await replica.info(name);
        if (info !== undefined) documents.push([name, info.seq]);
      }
      for (const { blobs, client } of told) await blobs.doubt(documents, (await client.recalled())?.blobsUnder ?? null);
    },
    end(some) {
      for (const { blobs } of told) blobs.arrived(names, some);
      for (const exchange of exchanges()) if (some && !told.has(exchange)) exchange.blobs.recheck(names);
    },
  };
}
