import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { MemoryLevel } from 'memory-level';
import { storageContract } from '../testing/contracts/index.ts';
import { MemoryStorage } from '../testing/index.ts';
import { levelStorage } from './level-storage.ts';

const encodings = { keyEncoding: 'view', valueEncoding: 'view' } as const;

storageContract('for tests', () => {
  const storage = new MemoryStorage();
  return Promise.resolve({ storage, teardown: () => storage.close() });
});

storageContract('memory-level', async () => {
  const db = new MemoryLevel<Uint8Array, Uint8Array>(encodings);
  await db.open();
  const storage = levelStorage(db as never);
  return { storage, teardown: () => storage.close() };
});

storageContract('classic-level on disk', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'fieldbook-storage-'));
  const db = new ClassicLevel<Uint8Array, Uint8Array>(directory, encodings);
  await db.open();
  const storage = levelStorage(db as never);
  return {
    storage,
    async teardown() {
      await storage.close();
      await rm(directory, { recursive: true });
    },
  };
});
