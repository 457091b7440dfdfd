import { base32 } from '@fieldbook/core';
import type { Clock, DeviceId, Random } from '@fieldbook/core';
import * as ed25519 from '@noble/ed25519';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import type { Keep } from './keep.ts';

// WebCrypto's digests exist on https and localhost only; a relay in a laboratory is often neither.
ed25519.hashes.sha512 = sha512;

export const clock: Clock = { now: () => Date.now() };
export const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) };

/** This browser as an author: a key pair made at its first visit. Tabs of one browser share it. */
export interface BrowserDevice {
  id: DeviceId;
  secretKey: Uint8Array;
  publicKey: Uint8Array;
  created: number;
}

/** `d` and 24 base32 characters of SHA-256 over the public key. */
export function deviceIdOf(publicKey: Uint8Array): DeviceId {
  return `d${base32(sha256(publicKey).subarray(0, 15))}` as DeviceId;
}

/** The device that this browser keeps, made if there is none. */
export async function browserDevice(keep: Keep): Promise<BrowserDevice> {
  const kept = await keep.get<BrowserDevice>('device');
  if (kept !== undefined) return kept;
  const secretKey = random.bytes(32);
  const publicKey = ed25519.getPublicKey(secretKey);
  return keep.getOrPut('device', { id: deviceIdOf(publicKey), secretKey, publicKey, created: clock.now() });
}
