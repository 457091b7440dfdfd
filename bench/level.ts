import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { SeededRandom, testDevice } from '@fieldbook/core/testing';

/** A replica on a real LevelDB in a folder that goes with it. */
export async function openOnDisk(seed: number): Promise<{ replica: Replica; close(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
  const random = new SeededRandom(seed);
  const db = new ClassicLevel<Uint8Array, Uint8Array>(folder, { keyEncoding: 'view', valueEncoding: 'view' });
  await db.open();
  const replica = await openReplica({ storage: levelStorage(db as never), device: testDevice(random), random });
  const close = async (): Promise<void> => {
    await replica.close();
    rmSync(folder, { recursive: true });
  };
  return { replica, close };
}
