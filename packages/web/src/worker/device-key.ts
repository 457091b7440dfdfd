import { base32 } from '@fieldbook/core';
import type { DeviceId } from '@fieldbook/core';
import * as ed25519 from '@noble/ed25519';
import { sha256, sha512 } from '@noble/hashes/sha2.js';

// WebCrypto's digests exist on https and localhost only; a relay in a laboratory is often neither.
ed25519.hashes.sha512 = sha512;

export function publicKeyOf(secretKey: Uint8Array): Uint8Array {
  return ed25519.getPublicKey(secretKey);
}

/** `d` and 24 base32 characters of SHA-256 over the public key. */
export function deviceIdOf(publicKey: Uint8Array): DeviceId {
  return `d${base32(sha256(publicKey).subarray(0, 15))}` as DeviceId;
}
