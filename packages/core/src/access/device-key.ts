import * as ed25519 from '@noble/ed25519';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import type { DeviceId } from '../ids.ts';
import { base32, utf8 } from '../ids.ts';

// WebCrypto exists on https and localhost only, and what a replica admits must not depend on where it runs: every replica
// checks signatures with the same code.
ed25519.hashes.sha512 = sha512;

/** A device's Ed25519 key, wherever it lies. */
export interface DeviceKey {
  id: DeviceId;
  /** 32 bytes. */
  publicKey: Uint8Array;
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

/** `d` and 24 base32 characters (120 bits) of SHA-256 over the public key. */
export function deviceIdOf(publicKey: Uint8Array): DeviceId {
  return `d${base32(sha256(publicKey).subarray(0, 15))}` as DeviceId;
}

/** The key of a 32-byte secret. */
export function deviceKeyOf(secretKey: Uint8Array): DeviceKey {
  const publicKey = ed25519.getPublicKey(secretKey);
  return { id: deviceIdOf(publicKey), publicKey, sign: (message) => ed25519.sign(message, secretKey) };
}

/** Whether `device` made this signature: the key is the one that its id derives from, and signed these bytes. Never throws. */
export function isSignedBy(device: string, publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64 || deviceIdOf(publicKey) !== device) return false;
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}

/** Both ends of a connection, as one of them sees it. */
export interface Greeting {
  workspace: string;
  /** Replica id and nonce of the side that proves itself, and of the side that it proves itself to. */
  prover: { replica: string; nonce: Uint8Array };
  verifier: { replica: string; nonce: Uint8Array };
}

/**
 * What a device signs to prove that it is at the other end of a connection. Both nonces are fresh, so it is worth nothing on
 * another connection; the first line keeps it apart from everything else that a device signs.
 */
export function proofText({ workspace, prover, verifier }: Greeting): Uint8Array {
  const line = (side: Greeting['prover']): string => `${side.replica} ${hex(side.nonce)}`;
  return utf8(['fieldbook device proof 1', workspace, line(prover), line(verifier)].join('\n'));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
