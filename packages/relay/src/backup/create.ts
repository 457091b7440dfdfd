import { randomBytes } from 'node:crypto';
import { copyFile, cp, link, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Storage } from '@fieldbook/core';
import { diskErrorOf, FieldbookError, isFieldbookError } from '@fieldbook/core';
import { levelStorage } from '@fieldbook/core/store';
import { ask } from '../control.ts';
import { hasStore, openLevel } from '../platform/data.ts';
import { syncDirectory, writeAtomically } from '../platform/files.ts';
import { VERSION } from '../version.ts';
import { archiveIdOf, listSegments } from './archive.ts';
import { digestOf, framesOf, payloadsOf } from './frames.ts';
import { withLock } from './lock.ts';
import type { Manifest } from './manifest.ts';
import { LAYOUT } from './manifest.ts';
import { dumpStore, writeSnapshot } from './snapshot.ts';

/** What of a data directory is not copied as it is: it has its own way, or must not come back. */
const NOT_STATE: ReadonlySet<string> = new Set(['store', 'blobs', 'archive', 'control.sock', 'guard', 'guard.count']);

/** What is said before the dump of a store. */
interface Cut {
  /** ms since the epoch; nothing of the dump was committed later. */
  time: number;
  replica: string | null;
}

/** The store of a running relay, for `createBackup`: what was cut, and then the dump, in frames. */
export function serveDump(storage: Storage, replica: () => string | null): AsyncIterable<Uint8Array> {
  const payloads = async function* (): AsyncGenerator<Uint8Array> {
    const dump = dumpStore(storage);
    // The snapshot is taken when the range is begun, so the time is looked at after that.
    const first = await dump.next();
    const cut: Cut = { time: Date.now(), replica: replica() };
    yield new TextEncoder().encode(JSON.stringify(cut));
    if (first.done !== true) yield first.value;
    yield* dump;
  };
  return framesOf(payloads());
}

/**
 * Adds a backup to a directory: a snapshot of the store at one moment, the archive up to now, the blobs that are not there
 * yet, and what else lies in the data directory. While the relay runs it is asked for the snapshot. Throws `not_found` for a
 * data directory without a store, `store_locked` when a relay runs that cannot be asked, or another command
 * works on the directory, `disk_full`, `storage_failed`.
 */
export async function createBackup(data: string, to: string): Promise<Manifest> {
  try {
    return await create(data, to);
  } catch (error) {
    throw diskErrorOf(error, `The backup in ${to}`);
  }
}

async function create(data: string, to: string): Promise<Manifest> {
  if (!(await hasStore(data))) throw new FieldbookError('not_found', `There is no relay's store in ${data}.`);
  for (const folder of Object.values(LAYOUT)) await mkdir(join(to, folder), { recursive: true, mode: 0o700 });
  return withLock(to, async () => {
    // Blobs that the snapshot names must stay until they are copied.
    const release = await holdRetention(data);
    try {
      return await addBackup(data, to);
    } finally {
      release();
    }
  });
}

/** Keeps the running relay from removing anything until `release` is called. */
async function holdRetention(data: string): Promise<() => void> {
  const held = await ask(data, 'hold').catch((error: unknown) => {
    // One of before retention removes nothing by itself.
    if (isFieldbookError(error, 'not_supported')) return undefined;
    throw error;
  });
  const reading = held?.[Symbol.asyncIterator]();
  await reading?.next();
  return () => void reading?.return?.().catch(() => undefined);
}

async function addBackup(data: string, to: string): Promise<Manifest> {
  const partial = join(to, LAYOUT.snapshots, `partial-${randomBytes(6).toString('hex')}`);
  const { cut, snapshot, runs } = await takeSnapshot(data, partial).catch(async (error: unknown) => {
    await rm(partial, { force: true }).catch(() => undefined);
    throw error;
  });
  const { seq } = snapshot;
  const stamp = new Date(cut.time).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const name = `${stamp}-${String(seq).padStart(12, '0')}`;
  const file = `${name}.fbs`;
  await rename(partial, join(to, LAYOUT.snapshots, file));
  // After the snapshot: bytes are stored before they are named, so whatever it names is there by now.
  const blobs = await copyBlobs(data, to, name);
  const archive = await copyArchive(data, to, runs);
  await copyState(data, join(to, LAYOUT.state, name));
  const manifest: Manifest = {
    format: 1,
    name,
    time: cut.time,
    seq,
    replica: cut.replica,
    program: `fieldbook-relay/${VERSION}`,
    snapshot: { file, sha256: snapshot.sha256, bytes: snapshot.bytes, entries: snapshot.entries },
    blobs,
    ...archive,
  };
  for (const folder of [LAYOUT.snapshots, LAYOUT.blobs, LAYOUT.state, LAYOUT.archive])
    await syncDirectory(join(to, folder));
  await writeAtomically(join(to, LAYOUT.manifests, `${name}.json`), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

async function takeSnapshot(
  data: string,
  path: string,
): Promise<{ cut: Cut; snapshot: Awaited<ReturnType<typeof writeSnapshot>>; runs: boolean }> {
  const said = await ask(data, 'dump');
  const storage = said === undefined ? levelStorage(await openLevel(join(data, 'store'))) : undefined;
  try {
    const payloads = payloadsOf(said ?? serveDump(storage!, () => null), 'What the relay sent');
    const first = await payloads.next();
    if (first.done === true) throw new FieldbookError('storage_failed', 'The relay sent nothing; see its log.');
    const cut = JSON.parse(new TextDecoder().decode(first.value)) as Cut;
    return { cut, snapshot: await writeSnapshot(path, payloads), runs: said !== undefined };
  } finally {
    await storage?.close();
  }
}

async function copyArchive(data: string, to: string, runs: boolean): Promise<Pick<Manifest, 'archive' | 'segments'>> {
  const from = join(data, 'archive');
  if (runs) for await (const _ of (await ask(data, 'rotate')) ?? []);
  const all = await listSegments(from);
  const archive = await archiveIdOf(all);
  if (archive === undefined) return { archive: null, segments: [] };
  const folder = join(to, LAYOUT.archive, archive);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const segments: { file: string; sha256: string }[] = [];
  // The one that is being written belongs to the next backup.
  for (const { path, file } of runs ? all.slice(0, -1) : all) {
    await put(path, join(folder, file));
    segments.push({ file, sha256: await digestOf(join(folder, file)) });
  }
  await syncDirectory(folder);
  return { archive, segments };
}

async function copyBlobs(data: string, to: string, name: string): Promise<Manifest['blobs']> {
  const from = join(data, 'blobs', 'sha256');
  let list = '';
  let count = 0;
  let bytes = 0;
  for (const head of (await readdir(from).catch(() => [] as string[])).sort()) {
    const folder = join(to, LAYOUT.blobs, head);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const digest of (await readdir(join(from, head))).filter((each) => /^[0-9a-f]{64}$/.test(each)).sort()) {
      // A purge may have taken it since it was listed.
      const size = await put(join(from, head, digest), join(folder, digest));
      if (size === undefined) continue;
      list += `${digest} ${size}\n`;
      count += 1;
      bytes += size;
    }
    await syncDirectory(folder);
  }
  const file = `${name}.blobs`;
  const path = join(to, LAYOUT.manifests, file);
  await writeFile(path, list, { mode: 0o600, flush: true });
  return { file, sha256: await digestOf(path), count, bytes };
}

async function copyState(data: string, path: string): Promise<void> {
  const to = `${path}.partial`;
  await rm(to, { recursive: true, force: true });
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const entry of await readdir(data, { withFileTypes: true })) {
    if (NOT_STATE.has(entry.name) || (!entry.isFile() && !entry.isDirectory()) || entry.name.endsWith('.tmp')) continue;
    await cp(join(data, entry.name), join(to, entry.name), { recursive: true });
  }
  // Another backup of this second and commit may have it; what was revoked in between must not stay in it.
  await rm(path, { recursive: true, force: true });
  await rename(to, path);
}

/** A file of immutable bytes under the same name: as a hard link on the same disk, else as a durable copy. Its size; undefined when it has gone. */
export async function put(from: string, to: string): Promise<number | undefined> {
  const there = await stat(to).catch(() => undefined);
  try {
    const { size } = await stat(from);
    if (there?.size === size) return size;
    const partial = `${to}.partial`;
    try {
      await copyOrLink(from, partial);
      await rename(partial, to);
    } catch (error) {
      await rm(partial, { force: true }).catch(() => undefined);
      throw error;
    }
    return size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return there?.size;
    throw error;
  }
}

async function copyOrLink(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    await copyFile(from, to);
    const file = await open(to, 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
