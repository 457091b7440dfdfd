import type { DocumentName } from '../ids.ts';
import { utf8 } from '../ids.ts';

/** The key space of the store; docs/formats/store.md states it as bytes. */
const decoder = new TextDecoder();

export const VERSION_KEY = utf8('v');
export const INFO_KEY = utf8('i');
/** There while a store is brought to another version. */
export const MIGRATION_KEY = utf8('m');

export const metaKey = (name: DocumentName): Uint8Array => utf8(`d/${name}`);
export const logKey = (name: DocumentName, seq: number): Uint8Array => withSeq(`u/${name}\0`, seq);
export const snapshotKey = (name: DocumentName, seq: number): Uint8Array => withSeq(`s/${name}\0`, seq);
export const feedKey = (seq: number): Uint8Array => withSeq('f/', seq);
/** Who made a commit, beside it as long as it is in the log. */
export const sourceKey = (name: DocumentName, seq: number): Uint8Array => withSeq(`o/${name}\0`, seq);
/** Commits that a compaction took out of the log, kept for repair; `seq` is that of the last. */
export const chunkKey = (name: DocumentName, seq: number): Uint8Array => withSeq(`r/${name}\0`, seq);
/** Those chunks by age. */
export const chunkAgeKey = (time: number, seq: number): Uint8Array => joinSeq(withSeq('q/', time), seq);
/** A document's bytes of before it was replaced: under the time of that, its head and each part. */
export const asideKey = (name: DocumentName, time: number): Uint8Array => withSeq(`k/${name}\0`, time);
export const asidePartKey = (
  name: DocumentName,
  time: number,
  part: 'd' | 'o' | 's' | 'u',
  seq: number,
): Uint8Array => {
  const head = asideKey(name, time);
  const kind = new Uint8Array(head.length + 1);
  kind.set(head);
  kind[head.length] = part.charCodeAt(0);
  return joinSeq(kind, seq);
};
export const privateKey = (key: string): Uint8Array => utf8(`x/${key}`);

/** All keys that begin with `prefix`. */
export function prefixRange(prefix: string): { gte: Uint8Array; lt: Uint8Array } {
  const gte = utf8(prefix);
  const lt = gte.slice();
  lt[lt.length - 1]! += 1; // no prefix of ours ends in 0xff
  return { gte, lt };
}

export function textAfter(key: Uint8Array, prefixLength: number): string {
  return decoder.decode(key.subarray(prefixLength));
}

/** The sequence number in a key's last 8 bytes. */
export function seqOf(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset + key.byteLength - 8, 8);
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
}

function withSeq(prefix: string, seq: number): Uint8Array {
  return joinSeq(utf8(prefix), seq);
}

function joinSeq(head: Uint8Array, seq: number): Uint8Array {
  const key = new Uint8Array(head.length + 8);
  key.set(head);
  const view = new DataView(key.buffer, head.length, 8);
  view.setUint32(0, Math.floor(seq / 2 ** 32));
  view.setUint32(4, seq >>> 0);
  return key;
}
