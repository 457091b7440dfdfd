import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, it } from 'vitest';
import { SeededRandom } from '../testing/index.ts';
import { deviceIdOf, deviceKeyOf, isSignedBy, proofText } from './device-key.ts';

const random = new SeededRandom(9);
const key = deviceKeyOf(random.bytes(32));
const greeting = {
  workspace: 'w',
  prover: { replica: 'a', nonce: random.bytes(32) },
  verifier: { replica: 'b', nonce: random.bytes(32) },
};

it('[ACC-16] a proof is worth something for its device, connection and workspace alone', () => {
  const text = proofText(greeting);
  const signature = key.sign(text);
  expect(isSignedBy(key.id, key.publicKey, text, signature)).toBe(true);
  const swapped = proofText({ ...greeting, prover: greeting.verifier, verifier: greeting.prover });
  const again = proofText({ ...greeting, verifier: { replica: 'b', nonce: random.bytes(32) } });
  const elsewhere = proofText({ ...greeting, workspace: 'v' });
  for (const other of [swapped, again, elsewhere])
    expect(isSignedBy(key.id, key.publicKey, other, signature)).toBe(false);
  const stranger = deviceKeyOf(random.bytes(32));
  expect(isSignedBy(key.id, stranger.publicKey, text, stranger.sign(text))).toBe(false);
  expect(isSignedBy(key.id, key.publicKey, text, stranger.sign(text))).toBe(false);
  for (const broken of [new Uint8Array(0), new Uint8Array(64), new Uint8Array(64).fill(255)])
    expect(isSignedBy(key.id, key.publicKey, text, broken)).toBe(false);
  // A point of small order signs everything when nobody looks.
  const small = new Uint8Array(32);
  small[0] = 1;
  expect(isSignedBy(deviceIdOf(small), small, text, new Uint8Array([...small, ...new Uint8Array(32)]))).toBe(false);
});

it('[ACC-16] what Node signs is what core checks, and ids are the same everywhere', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }).subarray(-32));
  const text = proofText(greeting);
  expect(isSignedBy(deviceIdOf(raw), raw, text, new Uint8Array(sign(null, text, privateKey)))).toBe(true);
  expect(deviceIdOf(raw)).toMatch(/^d[0-9a-z]{24}$/);
});
