import * as fs from 'node:fs/promises';
import type { BlobStore, Storage } from '@fieldbook/core';
import { REPLACED_PREFIX } from '@fieldbook/core/ingest';
import type { Replica } from '@fieldbook/core/replica';
import type { StorageReport } from '@fieldbook/core/usage';
import { measureFolder, measureUsage } from '@fieldbook/core/usage';
import type { Home } from './home.ts';
import { clock, timers } from './ports.ts';
import { diskOf } from './store.ts';

interface Measured {
  home: Home;
  storage: Storage;
  replica: Replica;
  blobs: BlobStore;
}

/** What takes how much of a home. Journal directories outside of it are not looked at. */
export function measureHome({ home, storage, replica, blobs }: Measured): Promise<StorageReport> {
  return measureUsage({
    storage,
    replica,
    blobs,
    clock,
    timers,
    waiting: [REPLACED_PREFIX],
    disk: () => diskOf(home.root),
    folders: (pause) => measureFolder(fs, home.root, kindOf, pause),
  });
}

/** What a file of the home is; blobs that are whole are counted by themselves. */
function kindOf(path: string): string | undefined {
  const [first = '', second = ''] = path.split('/', 2);
  if (first === 'blobs') {
    if (second === 'sha256') return undefined;
    return second === 'tmp' ? 'blobs cut short' : second === 'corrupt' ? 'damaged blobs' : 'other';
  }
  // What waits to be stored: `<project>/<run>/<writer>.files/…`.
  if (first === 'journals') return /^journals\/[^/]+\/[^/]+\/[^/]+\.files\//.test(path) ? 'spool' : 'journals';
  if (first.startsWith('agent.log')) return 'log of the agent';
  return first === 'store' ? first : 'other';
}
