import { createHash, createPrivateKey, generateKeyPairSync, sign, webcrypto } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { FieldbookError, readErrorOf } from '@fieldbook/core';
import type { DeviceKey } from '@fieldbook/core/access';
import { deviceIdOf } from '@fieldbook/core/access';
import { FileBlobStore } from '@fieldbook/core/blobs';
import type { LevelHandle, LevelStorageOptions, RestoreGuard } from '@fieldbook/core/store';
import { mustBeReadable } from '@fieldbook/core/store';
import { createAtomically, isAbsent, readIfThere, writeAtomically } from './files.ts';
import { random } from './ports.ts';

/** What lies where in a relay's data directory. */
export interface DataDirectory {
  root: string;
  store: string;
  blobs: string;
  /** One file per access token; the only part that `token` commands touch while the server runs. */
  tokens: string;
  /** One file per open invitation. */
  invitations: string;
  /** When each token was last used. */
  tokenUse: string;
  /** Other relays that this one dials, one file each. */
  peers: string;
  /** Who did what; full files lie beside it. */
  audit: string;
  device: string;
  guard: string;
}

/** Creates what is missing; for the owner only. */
export async function openDirectory(root: string): Promise<DataDirectory> {
  const data = {
    root,
    store: join(root, 'store'),
    blobs: join(root, 'blobs'),
    tokens: join(root, 'tokens'),
    invitations: join(root, 'invitations'),
    tokenUse: join(root, 'token-use.json'),
    peers: join(root, 'peers'),
    audit: join(root, 'audit.jsonl'),
    device: join(root, 'device.json'),
    guard: join(root, 'guard'),
  };
  for (const path of [data.root, data.store, data.blobs, data.tokens, data.peers])
    await fs.mkdir(path, { recursive: true, mode: 0o700 });
  return data;
}

/** Bytes of the files of a LevelDB. Those that it removes meanwhile count for nothing. */
export async function storeBytes(path: string): Promise<number> {
  let sum = 0;
  for (const name of await fs.readdir(path)) {
    const file = await fs.stat(join(path, name)).catch(() => undefined);
    sum += file?.size ?? 0;
  }
  return sum;
}

/** Whether a relay has ever had its store there. Throws `storage_failed` when that cannot be seen, as by another user. */
export async function hasStore(root: string): Promise<boolean> {
  const current = join(root, 'store', 'CURRENT');
  return fs.stat(current).then(
    () => true,
    (error: unknown) => {
      if (isAbsent(error)) return false;
      throw readErrorOf(error, current);
    },
  );
}

/** What a LevelDB that is open for long looks at before it goes on after a write that failed. */
export function lookingAfter(path: string): LevelStorageOptions {
  return {
    freeBytes: () => freeBytes(path),
    probe: () => probeDisk(path),
    readable: () => mustBeReadable(fs, path),
  };
}

/** Writes a few bytes to the disk of a folder and takes them away again; rejects while it takes none. */
async function probeDisk(folder: string): Promise<void> {
  const path = join(folder, 'probe');
  try {
    const file = await fs.open(path, 'w', 0o600);
    try {
      await file.writeFile('.');
      await file.sync();
    } finally {
      await file.close();
    }
  } finally {
    await fs.rm(path, { force: true });
  }
}

/** Bytes that can still be written to the disk of a folder. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await fs.statfs(path);
  return bavail * bsize;
}

/** Throws `store_locked` while another relay has it, `storage_failed` when it cannot be read. */
export async function openLevel(path: string): Promise<LevelHandle> {
  await mustBeReadable(fs, path);
  const db = new ClassicLevel<Uint8Array, Uint8Array>(path, { keyEncoding: 'view', valueEncoding: 'view' });
  try {
    await db.open();
  } catch (error) {
    const cause = (error as { cause?: { code?: string; message?: string } }).cause;
    if (cause?.code === 'LEVEL_LOCKED') {
      throw new FieldbookError('store_locked', `Another fieldbook-relay is using ${path}.`, { cause: error });
    }
    throw new FieldbookError(
      'storage_failed',
      `The store at ${path} cannot be opened: ${cause?.message ?? String(error)}`,
      {
        cause: error,
      },
    );
  }
  return db as unknown as LevelHandle;
}

/** Blobs of the data directory. */
export function openBlobs(root: string): FileBlobStore {
  return new FileBlobStore({ fs, root, random, sha256 });
}

/** Below this, going to another thread and back takes longer than hashing. */
const SMALL = 64 * 1024;

/** SHA-256 by OpenSSL, of large blobs in Node's thread pool: a chunk of 8 MiB must not hold up everybody else's requests. */
export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes.length <= SMALL) return new Uint8Array(createHash('sha256').update(bytes).digest());
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
}

/** This relay as a device: the id of an Ed25519 key made at the first start. */
export async function loadDevice(path: string): Promise<DeviceKey & { created: number }> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  // The last 32 bytes of the SPKI encoding are the key itself (RFC 8410).
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  const fresh = {
    created: Date.now(),
    publicKey: raw.toString('base64'),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
  await createAtomically(path, `${JSON.stringify(fresh, null, 2)}\n`);
  const text = (await readIfThere(path)) ?? '{}';
  let kept: Partial<typeof fresh> = {};
  try {
    kept = JSON.parse(text) as typeof kept;
  } catch {
    // Said below, as of any file that is not the key's.
  }
  const key = new Uint8Array(Buffer.from(kept.publicKey ?? '', 'base64'));
  if (key.length !== 32)
    throw new FieldbookError(
      'config_invalid',
      `${path} does not hold this relay's key. Restore it from a backup, or move it away to start under a new one.`,
    );
  const secret = createPrivateKey(kept.privateKey ?? '');
  return {
    id: deviceIdOf(key),
    publicKey: key,
    created: Number(kept.created ?? 0),
    sign: (message) => new Uint8Array(sign(null, message, secret)),
  };
}

/** Tells this store from a copy of it: the machine, the inode of the guard file and its birth, and a count kept beside the store. */
export async function restoreGuard(path: string): Promise<RestoreGuard> {
  await createAtomically(path, 'This file tells the store beside it from a copy of it. Do not copy or restore it.\n');
  const { ino, birthtimeMs } = await fs.stat(path).catch((error: unknown) => {
    throw readErrorOf(error, path);
  });
  const machine = (await readIfThere('/etc/machine-id').catch(() => undefined))?.trim() || hostname();
  const counter = `${path}.count`;
  return {
    fingerprint: createHash('sha256').update(`${machine}\n${ino}\n${birthtimeMs}`).digest('hex').slice(0, 32),
    readCounter: async () => {
      const count = Number((await readIfThere(counter)) ?? 'none');
      return Number.isSafeInteger(count) ? count : undefined;
    },
    writeCounter: (count) => writeAtomically(counter, `${count}\n`),
  };
}
