import * as fs from 'node:fs/promises';
import type { BlobStore, Storage } from '@fieldbook/core';
import type { Replica } from '@fieldbook/core/replica';
import type { StorageReport } from '@fieldbook/core/usage';
import { measureFolder, measureUsage, UNNAMED_PREFIX } from '@fieldbook/core/usage';
import type { DataDirectory } from './data.ts';
import { clock, timers } from './ports.ts';

export interface Measured {
  data: DataDirectory;
  storage: Storage;
  replica: Replica;
  blobs: BlobStore;
}

/** What takes how much of a relay's data directory. */
export function measureRelay({ data, storage, replica, blobs }: Measured): Promise<StorageReport> {
  return measureUsage({
    storage,
    replica,
    blobs,
    clock,
    timers,
    waiting: [UNNAMED_PREFIX],
    disk: async () => {
      const { bavail, blocks, bsize } = await fs.statfs(data.root);
      return { free: bavail * bsize, total: blocks * bsize };
    },
    folders: (pause) => measureFolder(fs, data.root, kindOf, pause),
  });
}

/** What a file of the data directory is; blobs that are whole are counted by themselves. */
function kindOf(path: string): string | undefined {
  const [first = '', second = ''] = path.split('/', 2);
  if (first === 'blobs') {
    if (second === 'sha256') return undefined;
    return second === 'tmp' ? 'blobs cut short' : second === 'corrupt' ? 'damaged blobs' : 'other';
  }
  if (first.startsWith('audit.')) return 'audit log';
  if (first.startsWith('archive.unreadable-')) return 'archives put aside';
  return first === 'store' || first === 'archive' ? first : 'other';
}
