import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { readErrorOf } from '@fieldbook/core';
import type { RestoreGuard } from '@fieldbook/core/store';
import { createAtomically, readIfThere, writeAtomically } from './files.ts';
import type { Home } from './home.ts';

/**
 * Tells this store from a copy or a backup of it: which machine, which inode of the guard file and when that was born.
 * A copied or restored home has another inode; an older store put into the same home has another count. A false alarm
 * costs ten bytes per document, a missed copy costs divergence that nobody notices: so everything counts as evidence.
 */
export async function restoreGuard(home: Home): Promise<RestoreGuard> {
  await createAtomically(
    home.guard,
    'This file tells the store beside it from a copy of it. Do not copy or restore it.\n',
    0o600,
  );
  const { ino, birthtimeMs } = await stat(home.guard).catch((error: unknown) => {
    throw readErrorOf(error, home.guard);
  });
  const machine = (await readIfThere('/etc/machine-id').catch(() => undefined))?.trim() || hostname();
  const counter = `${home.guard}.count`;
  return {
    fingerprint: createHash('sha256').update(`${machine}\n${ino}\n${birthtimeMs}`).digest('hex').slice(0, 32),
    readCounter: async () => {
      const count = Number((await readIfThere(counter)) ?? 'none');
      return Number.isSafeInteger(count) ? count : undefined;
    },
    writeCounter: (count) => writeAtomically(counter, `${count}\n`, 0o600),
  };
}
