import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { scryptAsync } from '@noble/hashes/scrypt.js';
import { FieldbookError } from '../errors.ts';
import { utf8 } from '../ids.ts';
import { crc32 } from '../journal/crc32.ts';
import type { Random } from '../ports.ts';
import { ByteQueue } from './byte-queue.ts';
import { checkedHeader, encodeHeader, FLAG_ENCRYPTED, HEADER_BYTES, MAJOR, MINOR } from './format.ts';

/**
 * A bundle behind a passphrase: the bytes of `docs/formats/bundle.md`, "Sealed bundles". The whole plain bundle is the content, so
 * nothing of it shows but its size and the id. Chunks are sealed one by one in the STREAM construction (Hoang, Reyhanitabar, Rogaway
 * and Vizár, 2015): none can be changed, left out, moved, or taken for the last.
 */

/** What lies between the header and the first chunk. */
const PARAMETERS_BYTES = 64;
const PREAMBLE_BYTES = HEADER_BYTES + PARAMETERS_BYTES;
const KDF_SCRYPT = 1;
const CIPHER_XCHACHA = 1;
const SALT_BYTES = 32;
const KEY_BYTES = 32;
const PREFIX_BYTES = 19;
const CHECK_BYTES = 16;
const TAG_BYTES = 16;
export const SEALED_CHUNK_BYTES = 64 * 1024;
/** 2^17 × 8 × 128 bytes: 128 MiB and about a second, as OWASP asks for. */
const COST = 17;
const BLOCK_SIZE = 8;
/** What a stranger's file may make this program spend: 512 MiB and a few seconds. */
const COST_MOST = 19;
const COST_LEAST = 10;
const PASSPHRASE_BYTES = 1_024;

interface Parameters {
  cost: number;
  salt: Uint8Array;
  check: Uint8Array;
}

/** Seals a bundle as it comes. `id` is the bundle's own; `cost` is the binary logarithm of scrypt's N. Throws `invalid_argument` for a passphrase of nothing. */
export async function* sealBundle(
  plain: AsyncIterable<Uint8Array>,
  passphrase: string,
  random: Random,
  { cost = COST }: { cost?: number } = {},
): AsyncGenerator<Uint8Array> {
  if (passphrase === '') throw new FieldbookError('invalid_argument', 'A passphrase has at least one character.');
  const queue = new ByteQueue(plain);
  try {
    const first = await queue.take(HEADER_BYTES);
    if (first === undefined) throw new FieldbookError('bundle_corrupt', 'There is no bundle to seal.');
    const { id, flags } = checkedHeader(first);
    const salt = random.bytes(SALT_BYTES);
    const keys = await keysOf(passphrase, salt, cost);
    const preamble = new Uint8Array(PREAMBLE_BYTES);
    preamble.set(encodeHeader({ major: MAJOR, minor: MINOR, flags: flags | FLAG_ENCRYPTED, id }));
    preamble.set(encodeParameters({ cost, salt, check: keys.check }), HEADER_BYTES);
    yield preamble;
    let chunk = new Uint8Array(SEALED_CHUNK_BYTES);
    chunk.set(first);
    let filled = first.length;
    let counter = 0;
    for (;;) {
      const piece = await queue.takeSome(SEALED_CHUNK_BYTES);
      if (piece === undefined) break;
      for (let at = 0; at < piece.length;) {
        // A full chunk is sealed only when something follows: the last one is marked.
        if (filled === SEALED_CHUNK_BYTES) {
          yield seal(keys, preamble, counter++, false, chunk);
          chunk = new Uint8Array(SEALED_CHUNK_BYTES);
          filled = 0;
        }
        const part = piece.subarray(at, at + SEALED_CHUNK_BYTES - filled);
        chunk.set(part, filled);
        filled += part.length;
        at += part.length;
      }
    }
    yield seal(keys, preamble, counter, true, chunk.subarray(0, filled));
  } finally {
    await queue.close();
  }
}

/**
 * The plain bundle in a sealed one, a chunk at a time; of a chunk nothing comes out before its tag holds. Throws `bundle_passphrase`
 * for a wrong passphrase, `bundle_corrupt` at the first byte that is not what was sealed and where the file breaks off.
 */
export async function* openSealed(chunks: AsyncIterable<Uint8Array>, passphrase: string): AsyncGenerator<Uint8Array> {
  const queue = new ByteQueue(chunks);
  try {
    const preamble = await queue.take(PREAMBLE_BYTES);
    if (preamble === undefined || !isSealed(preamble))
      throw new FieldbookError('bundle_corrupt', 'This is no sealed bundle, or it breaks off at its beginning.');
    const { cost, salt, check } = decodeParameters(preamble.subarray(HEADER_BYTES));
    const keys = await keysOf(passphrase, salt, cost);
    if (!same(keys.check, check))
      throw new FieldbookError(
        'bundle_passphrase',
        'The passphrase does not open this bundle. Nothing was changed; capitals and spaces count.',
      );
    let at = PREAMBLE_BYTES;
    let held = await queue.takeUpTo(SEALED_CHUNK_BYTES + TAG_BYTES);
    for (let counter = 0; ; counter++) {
      if (held.length <= TAG_BYTES) throw brokenOff(at);
      const next =
        held.length < SEALED_CHUNK_BYTES + TAG_BYTES ? EMPTY : await queue.takeUpTo(SEALED_CHUNK_BYTES + TAG_BYTES);
      const isLast = next.length === 0;
      let plain: Uint8Array;
      try {
        plain = xchacha20poly1305(keys.key, nonceOf(keys, counter, isLast), preamble).decrypt(held);
      } catch (error) {
        // Cut at the end of a chunk, what was sealed as one of many stands last.
        throw isLast ? brokenOff(at, error) : damaged(at, error);
      }
      yield plain;
      if (isLast) return;
      at += held.length;
      held = next;
    }
  } finally {
    await queue.close();
  }
}

/** Whether a file that begins with these bytes (32 or more) is a sealed bundle. Throws as `readBundle` for what is no bundle of this format. */
export function isSealed(start: Uint8Array): boolean {
  return (checkedHeader(start.subarray(0, HEADER_BYTES)).flags & FLAG_ENCRYPTED) !== 0;
}

interface Keys {
  key: Uint8Array;
  prefix: Uint8Array;
  check: Uint8Array;
}

async function keysOf(passphrase: string, salt: Uint8Array, cost: number): Promise<Keys> {
  // The same word typed on another keyboard is the same word.
  const secret = utf8(passphrase.normalize('NFKC'));
  if (secret.length > PASSPHRASE_BYTES)
    throw new FieldbookError('invalid_argument', `A passphrase has at most ${PASSPHRASE_BYTES} bytes.`);
  const dkLen = KEY_BYTES + PREFIX_BYTES + CHECK_BYTES;
  const bytes = await scryptAsync(secret, salt, { N: 2 ** cost, r: BLOCK_SIZE, p: 1, dkLen, maxmem: 2 ** 30 });
  return {
    key: bytes.subarray(0, KEY_BYTES),
    prefix: bytes.subarray(KEY_BYTES, KEY_BYTES + PREFIX_BYTES),
    check: bytes.subarray(KEY_BYTES + PREFIX_BYTES),
  };
}

function seal(keys: Keys, preamble: Uint8Array, counter: number, isLast: boolean, chunk: Uint8Array): Uint8Array {
  return xchacha20poly1305(keys.key, nonceOf(keys, counter, isLast), preamble).encrypt(chunk);
}

function nonceOf({ prefix }: Keys, counter: number, isLast: boolean): Uint8Array {
  const nonce = new Uint8Array(24);
  nonce.set(prefix);
  new DataView(nonce.buffer).setUint32(PREFIX_BYTES, counter);
  nonce[23] = isLast ? 1 : 0;
  return nonce;
}

function encodeParameters({ cost, salt, check }: Parameters): Uint8Array {
  const bytes = new Uint8Array(PARAMETERS_BYTES);
  bytes.set([KDF_SCRYPT, cost, BLOCK_SIZE, 1, CIPHER_XCHACHA]);
  bytes.set(salt, 8);
  bytes.set(check, 40);
  new DataView(bytes.buffer).setUint32(60, crc32(bytes, 0, 0, 60), true);
  return bytes;
}

function decodeParameters(bytes: Uint8Array): Parameters {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(60, true) !== crc32(bytes, 0, 0, 60)) throw damaged(HEADER_BYTES);
  const [kdf, cost, blockSize, lanes, cipher] = bytes;
  if (kdf !== KDF_SCRYPT || cipher !== CIPHER_XCHACHA || blockSize !== BLOCK_SIZE || lanes !== 1)
    throw new FieldbookError(
      'bundle_version',
      'The bundle is sealed in a way that a newer Fieldbook has to open. Update it here.',
    );
  if (cost! < COST_LEAST || cost! > COST_MOST)
    throw new FieldbookError(
      'bundle_corrupt',
      'The bundle asks for more work to open it than any that Fieldbook makes.',
    );
  return { cost: cost!, salt: bytes.slice(8, 40), check: bytes.slice(40, 56) };
}

const EMPTY = new Uint8Array(0);

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function brokenOff(at: number, cause?: unknown): FieldbookError {
  return new FieldbookError(
    'bundle_corrupt',
    `The sealed bundle is damaged or breaks off behind byte ${at}; copy it again.`,
    {
      cause,
      details: { at },
    },
  );
}

function damaged(at: number, cause?: unknown): FieldbookError {
  return new FieldbookError('bundle_corrupt', `The sealed bundle is damaged behind byte ${at}; copy it again.`, {
    cause,
    details: { at },
  });
}
