import type { Log, Storage } from '@fieldbook/core';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { FileBlobStore } from '@fieldbook/core/blobs';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { Audit } from '../audit.ts';
import type { RelayConfig } from '../config/index.ts';
import { bundlePlatform } from '../platform/bundles.ts';
import type { DataDirectory } from '../platform/data.ts';
import { loadDevice, lookingAfter, openBlobs, openDirectory, openLevel, restoreGuard } from '../platform/data.ts';
import { clock, jsonLog, random } from '../platform/ports.ts';

/** The data of a relay that does not run, open in a command. */
export interface OpenStore {
  data: DataDirectory;
  storage: Storage;
  replica: Replica;
  blobs: FileBlobStore;
  audit: Audit;
  log: Log;
}

/** Opens the store for one command. Throws `store_locked`, with `why`, while the relay runs. */
export async function withStore<T>(
  config: RelayConfig,
  why: string,
  work: (open: OpenStore) => Promise<T>,
): Promise<T> {
  const log = jsonLog((line) => process.stderr.write(line), 'error');
  const data = await openDirectory(config.data);
  const device = await loadDevice(data.device);
  const level = await openLevel(data.store).catch((error: unknown) => {
    if (!isFieldbookError(error, 'store_locked')) throw error;
    throw new FieldbookError('store_locked', `${error.message} Stop the relay: ${why}.`);
  });
  const { deflate, inflate } = bundlePlatform;
  const storage = levelStorage(level, lookingAfter(data.store));
  const replica = await openReplica({
    storage,
    device: device.id,
    random,
    guard: await restoreGuard(data.guard),
    history: { clock, deflate, inflate, maxBytes: config['history.size'], maxAgeMs: config['history.age'] },
    log,
  });
  const audit = new Audit(data.audit, { failed: (error) => log.error('audit.unwritable', { error: String(error) }) });
  try {
    return await work({ data, storage, replica, blobs: openBlobs(data.blobs), audit, log });
  } finally {
    await audit.close();
    await replica.close();
  }
}
