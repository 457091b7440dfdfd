import type { DocumentName } from '../ids.ts';
import { utf8 } from '../ids.ts';

/** The key space of the store; docs/formats/store.md states it as bytes. */
const decoder = new TextDecoder();

export const VERSION_KEY = utf8('v');
export const INFO_KEY = utf8('i');

export const metaKey = (name: DocumentName): Uint8Array => utf8(`d/${name}`);
export const logKey = (name: DocumentName, seq: number): Uint8Array => withSeq(`u/${name}\0`, seq);
export const snapshotKey = (name: DocumentName, seq: number): Uint8Array => withSeq(`s/${name}\0`, seq);
export const feedKey = (seq: number): Uint8Array => withSeq('f/', seq);
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
  const head = utf8(prefix);
  const key = new Uint8Array(head.length + 8);
  key.set(head);
  const view = new DataView(key.buffer, head.length, 8);
  view.setUint32(0, Math.floor(seq / 2 ** 32));
  view.setUint32(4, seq >>> 0);
  return key;
}
