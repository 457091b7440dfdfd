import type { BlobDigest, BlobRemoval, BlobStore, Clock, DocumentName, Random } from '@fieldbook/core';
import { FieldbookError, isFieldbookError, utf8 } from '@fieldbook/core';
import type { Evicted, EvictRequest } from '@fieldbook/core/api';
import { RunDocument } from '@fieldbook/core/documents';
import { blobsOf, pointBlobs, storedFiles } from '@fieldbook/core/files';
import type { FileEntry } from '@fieldbook/core/record';
import type { Replica } from '@fieldbook/core/replica';
import type { BlobPeer } from '@fieldbook/core/replication';
import { proofOf } from '@fieldbook/core/replication';
import { sha256 } from '../machine/blobs.ts';

export interface EvictOptions {
  replica: Replica;
  blobs: BlobStore;
  clock: Clock;
  random: Random;
  /** The other replicas that can be asked, by url. */
  peers: ReadonlyMap<string, BlobPeer>;
  /** Peers that have a document as it is here. */
  holders(document: DocumentName): Promise<readonly string[]>;
}

/** What `fieldbook evict` removed, so that its absence is not taken for damage. */
export const EVICTED_PREFIX = 'evicted/';

interface Candidate {
  run: string;
  document: DocumentName;
  path: string;
  size: number;
  time: number;
  blobs: readonly BlobDigest[];
  points: boolean;
}

/**
 * Removes local bytes of files that enough other replicas hold: each of them proves for every blob that it can read all of it from
 * its disk now, and is compared with the bytes here. A blob goes only when everything that names it may go. Throws
 * `peer_unreachable` when not enough replicas answer, and then has removed nothing.
 */
export async function evict(options: EvictOptions, request: EvictRequest): Promise<Evicted> {
  const { blobs } = options;
  const peers = await reachable(options, request.replicas);
  const removal = blobs.removal();
  try {
    return await evictWith(options, request, peers, removal);
  } finally {
    removal.end();
  }
}

/** `removal` began before anything is looked at: what is stored while replicas prove what they hold is not removed. */
async function evictWith(
  options: EvictOptions,
  request: EvictRequest,
  peers: ReadonlyMap<string, BlobPeer>,
  removal: BlobRemoval,
): Promise<Evicted> {
  const { replica, blobs } = options;
  const { candidates, needed } = await choose(options, request);
  const kept: Evicted['kept'] = [];
  const proofs = new Map<BlobDigest, number>();
  const provable: Candidate[] = [];
  for (const candidate of candidates) {
    const reason = await whyNot(options, request, peers, proofs, candidate);
    if (reason === null) provable.push(candidate);
    else {
      kept.push({ run: candidate.run, path: candidate.path, size: candidate.size, reason });
      for (const blob of candidate.blobs) needed.add(blob);
    }
  }
  let bytes = 0;
  const evicted: Evicted['evicted'] = [];
  const gone = new Set<BlobDigest>();
  for (const { run, path, size, blobs: named } of provable) {
    const removable = named.filter((blob) => !needed.has(blob) && !gone.has(blob));
    evicted.push({ run, path, size });
    for (const blob of removable) {
      gone.add(blob);
      const there = (await blobs.stat(blob))?.size ?? 0;
      if (request.dryRun) {
        bytes += there;
        continue;
      }
      const mark = `${EVICTED_PREFIX}${blob}`;
      await replica.putPrivate([[mark, utf8(String(options.clock.now()))]]);
      if (await removal.remove(blob)) bytes += there;
      else await replica.putPrivate([[mark, null]]);
    }
  }
  return { dryRun: request.dryRun, evicted, bytes, kept, replicas: [...peers.keys()] };
}

/** Peers that answer, one address of each replica. */
async function reachable(options: EvictOptions, replicas: number): Promise<Map<string, BlobPeer>> {
  const { peers, replica } = options;
  if (peers.size === 0)
    throw new FieldbookError(
      'peer_unreachable',
      'Nothing was evicted: no relay is joined, so no other replica holds these files. Join one with "fieldbook join".',
    );
  const found = new Map<string, BlobPeer>();
  const ids = new Set([replica.id]);
  const problems: string[] = [];
  for (const [url, peer] of peers) {
    try {
      const { replica: id } = await peer.about();
      if (ids.has(id)) continue;
      ids.add(id);
      found.set(url, peer);
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (found.size >= replicas) return found;
  const answer = found.size === 1 ? '1 other replica answers' : `${found.size} other replicas answer`;
  throw new FieldbookError(
    'peer_unreachable',
    `Nothing was evicted: ${answer}, ${replicas} must prove that they hold the files. ${problems.join(' ')}`.trim(),
  );
}

/** What the request is about, oldest first, and the blobs that everything else needs. */
async function choose(
  { replica, blobs, clock }: EvictOptions,
  { olderThanMs, keepBytes, points }: EvictRequest,
): Promise<{ candidates: Candidate[]; needed: Set<BlobDigest> }> {
  const needed = new Set<BlobDigest>();
  const all: Candidate[] = [];
  for await (const { name: document, quarantined } of replica.list('run/')) {
    // What cannot be read may need anything.
    if (quarantined)
      throw new FieldbookError(
        'document_quarantined',
        `Nothing was evicted: ${document} is damaged; see "fieldbook doctor".`,
      );
    const run = document.slice('run/'.length);
    const { files, segments } = await replica.read(document, (doc) => ({
      files: storedFiles(doc),
      segments: pointBlobs(doc),
    }));
    for (const file of files) {
      const here = await present(blobs, file);
      if (here.length === 0) continue;
      const { path, size, time } = file;
      all.push({ run, document, path, size: size ?? 0, time, blobs: here, points: false });
    }
    if (!points) for (const blob of segments) needed.add(blob);
    else if (segments.length > 0) {
      const here: BlobDigest[] = [];
      let size = 0;
      for (const blob of new Set(segments)) {
        const stat = await blobs.stat(blob);
        if (stat === undefined) continue;
        here.push(blob);
        size += stat.size;
      }
      const time = await newestPoint(replica, document);
      if (here.length > 0) all.push({ run, document, path: '(points)', size, time, blobs: here, points: true });
    }
  }
  all.sort((a, b) => b.time - a.time);
  const candidates: Candidate[] = [];
  let keptBytes = 0;
  for (const candidate of all) {
    const isOld = olderThanMs === null || candidate.time < clock.now() - olderThanMs;
    const fits = keepBytes !== null && keptBytes + candidate.size <= keepBytes;
    if (isOld && !fits) {
      candidates.push(candidate);
      continue;
    }
    keptBytes += candidate.size;
    for (const blob of candidate.blobs) needed.add(blob);
  }
  return { candidates: candidates.reverse(), needed };
}

async function present(blobs: BlobStore, file: FileEntry & { digest: BlobDigest }): Promise<BlobDigest[]> {
  const named = await blobsOf(blobs, file).catch((error: unknown) => {
    if (isFieldbookError(error, 'blob_corrupt')) return undefined;
    throw error;
  });
  const here: BlobDigest[] = [];
  for (const blob of named ?? []) if ((await blobs.stat(blob)) !== undefined) here.push(blob);
  return here;
}

async function newestPoint(replica: Replica, document: DocumentName): Promise<number> {
  return replica.read(document, (doc) => {
    let newest = 0;
    for (const { endTime } of new RunDocument(doc).segments()) newest = Math.max(newest, endTime);
    return newest;
  });
}

/** Why a file stays, in words; null when enough replicas have proved that they hold it. */
async function whyNot(
  { blobs, random, holders }: EvictOptions,
  { replicas }: EvictRequest,
  peers: ReadonlyMap<string, BlobPeer>,
  proofs: Map<BlobDigest, number>,
  { document, blobs: named }: Candidate,
): Promise<string | null> {
  const knowing = (await holders(document)).filter((url) => peers.has(url));
  if (knowing.length < replicas) return 'what the run says of it is not exchanged with enough replicas yet';
  for (const blob of named) {
    let count = proofs.get(blob);
    if (count === undefined) {
      const bytes = await blobs.read(blob).catch((error: unknown) => {
        if (isFieldbookError(error, 'blob_corrupt')) return undefined;
        throw error;
      });
      if (bytes === undefined) return 'its bytes here are damaged; run "fieldbook doctor --repair"';
      count = 0;
      for (const peer of peers.values()) {
        const nonce = Buffer.from(random.bytes(32)).toString('hex');
        const proof = await peer.prove(blob, nonce).catch((error: unknown) => {
          if (isFieldbookError(error, 'peer_unreachable')) return undefined;
          throw error;
        });
        if (proof !== undefined && proof === (await proofOf(sha256, nonce, bytes))) count++;
      }
      proofs.set(blob, count);
    }
    if (count < replicas) return `${count} of ${replicas} other replicas could prove that they hold it`;
  }
  return null;
}
