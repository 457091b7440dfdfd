import * as ed25519 from '@noble/ed25519';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { FieldbookError } from '../errors.ts';
import type { DeviceId } from '../ids.ts';
import { base32, parseDeviceId, utf8 } from '../ids.ts';

// WebCrypto's digests exist on https and localhost only; a relay in a laboratory is often neither.
ed25519.hashes.sha512 = sha512;

/** Signs for a device; the message is some 60 bytes. */
export interface BundleSigner {
  /** 32 bytes. */
  publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/** Whose signature a bundle has; it holds, or there was an error. Whether that device is to be trusted is another question. */
export interface BundleSignature {
  device: DeviceId;
  publicKey: Uint8Array;
}

const VERSION = 1;
const DOMAIN = utf8('fieldbook bundle signature v1\n');
const PAYLOAD_BYTES = 1 + 32 + 64;

/** The section's payload. `digest` is the SHA-256 of all bytes of the bundle before that section. */
export async function signBundle(signer: BundleSigner, digest: Uint8Array): Promise<Uint8Array> {
  const payload = new Uint8Array(PAYLOAD_BYTES);
  payload[0] = VERSION;
  payload.set(signer.publicKey, 1);
  payload.set(await signer.sign(messageOf(digest)), 33);
  return payload;
}

/** Throws `bundle_corrupt` when the signature is none or not of these bytes, `bundle_version` for one of another kind. */
export function verifyBundle(payload: Uint8Array, digest: Uint8Array): BundleSignature {
  if (payload[0] !== VERSION)
    throw new FieldbookError(
      'bundle_version',
      'The bundle is signed in a way that a newer Fieldbook has to check. Update it here.',
    );
  const publicKey = payload.slice(1, 33);
  const signature = payload.slice(33, PAYLOAD_BYTES);
  if (payload.length !== PAYLOAD_BYTES || !holds(signature, messageOf(digest), publicKey))
    throw new FieldbookError(
      'bundle_corrupt',
      'The signature of the bundle does not hold: it was changed after it was signed.',
    );
  return { device: parseDeviceId(`d${base32(sha256(publicKey).subarray(0, 15))}`), publicKey };
}

function holds(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  try {
    return ed25519.verify(signature, message, publicKey);
  } catch {
    return false;
  }
}

function messageOf(digest: Uint8Array): Uint8Array {
  const message = new Uint8Array(DOMAIN.length + digest.length);
  message.set(DOMAIN);
  message.set(digest, DOMAIN.length);
  return message;
}
