import { sha256 as portable } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';

/** SHA-256 of bytes, on another thread where the platform can. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/** What shows that somebody has all bytes of a blob: SHA-256(nonce ‖ bytes), both given and answered in hexadecimal. */
export async function proofOf(sha256: Sha256 | undefined, nonce: string, bytes: Uint8Array): Promise<string> {
  const head = hexToBytes(nonce);
  const both = new Uint8Array(head.length + bytes.length);
  both.set(head);
  both.set(bytes, head.length);
  return bytesToHex(await (sha256 ?? portable)(both));
}
