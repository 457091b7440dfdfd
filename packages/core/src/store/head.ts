import { FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { base32 } from '../ids.ts';
import type { Log, Random, Storage } from '../ports.ts';
import { INFO_KEY, prefixRange, seqOf, textAfter, VERSION_KEY } from './keys.ts';
import type { DocumentMeta, StoreInfo } from './meta.ts';
import { MIGRATIONS, migrateStore } from './migrate.ts';
import { decodeInfo, decodeMeta, encodeInfo } from './meta.ts';

/** The layout of docs/formats/store.md. A higher one was written by a newer program and is refused. */
const STORE_VERSION = 1;

/** More commits than a backup of a running store can be behind. */
const SEQ_JUMP = 2 ** 20;

/**
 * Evidence that this store is the one that was closed last and not a copy or a backup of it.
 * `fingerprint` names the place (machine, directory); `readCounter`/`writeCounter` keep the number of openings outside
 * the store, which must equal the one inside. Any difference renews the replica id and every Yjs client id: reusing one
 * after a restore is silent, permanent divergence.
 *
 * A store that was not closed may be a backup made while it was open, which has the right number. It gets other client
 * ids and goes on far behind the feed's last seq, so that nothing said before can be said again with other content.
 */
export interface RestoreGuard {
  fingerprint: string;
  readCounter(): Promise<number | undefined>;
  /** Resolves when the number is durable. */
  writeCounter(count: number): Promise<void>;
}

export interface HeadOptions {
  storage: Storage;
  random: Random;
  guard?: RestoreGuard;
  log?: Log;
}

/** What is read when a store is opened: who it is and the entries of all documents, no document itself. */
export interface Head {
  info: StoreInfo;
  metas: Map<DocumentName, DocumentMeta>;
  /** The last seq of the feed, and the last that may have been given out. */
  seq: number;
  lastGiven: number;
}

export function mintReplicaId(random: Random): string {
  return base32(random.bytes(15));
}

/** Throws `store_version` for a store of a newer program, `store_corrupt` for a broken head. */
export async function openHead({ storage, random, guard, log }: HeadOptions): Promise<Head> {
  await migrateStore(storage, { steps: MIGRATIONS, to: STORE_VERSION, log });
  const [version, stored] = await storage.getMany([VERSION_KEY, INFO_KEY]);
  // A missing head is not a new store: with a new one, client ids of before would be believed again.
  if ((version === undefined) !== (stored === undefined)) {
    throw new FieldbookError('store_corrupt', 'The head of the store is missing.');
  }
  let info: StoreInfo;
  let unclean = false;
  if (stored === undefined) {
    info = { id: mintReplicaId(random), epoch: 1, fingerprint: guard?.fingerprint ?? '', counter: 0, clean: true };
  } else {
    info = decodeInfo(stored);
    const same =
      guard === undefined || (info.fingerprint === guard.fingerprint && (await guard.readCounter()) === info.counter);
    if (!same) {
      log?.warn('store.copy_detected', { id: info.id });
      info = { ...info, id: mintReplicaId(random), epoch: info.epoch + 1, fingerprint: guard.fingerprint };
    } else if (guard !== undefined && !info.clean) {
      unclean = true;
      info = { ...info, epoch: info.epoch + 1 };
    }
  }
  info = { ...info, counter: info.counter + 1, clean: false };
  // Inside first: a crash between the two renews ids needlessly, the other order could miss a restore.
  await storage.batch(
    [
      { type: 'put', key: VERSION_KEY, value: new Uint8Array([STORE_VERSION]) },
      { type: 'put', key: INFO_KEY, value: encodeInfo(info) },
    ],
    { sync: true },
  );
  await guard?.writeCounter(info.counter);
  const metas = new Map<DocumentName, DocumentMeta>();
  for await (const [key, value] of storage.range(prefixRange('d/'))) {
    const name = textAfter(key, 2) as DocumentName;
    metas.set(name, decodeMeta(name, value, log));
  }
  let seq = 0;
  for await (const key of storage.keys({ ...prefixRange('f/'), reverse: true, limit: 1 })) seq = seqOf(key);
  return { info, metas, seq, lastGiven: unclean ? seq + SEQ_JUMP : seq };
}
