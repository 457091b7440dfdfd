import { FieldbookError } from '../errors.ts';
import type { BatchOperation, Log, Storage } from '../ports.ts';
import { decodeRecord, encodeRecord } from '../record/index.ts';
import { seal, unseal } from './checked.ts';
import { MIGRATION_KEY, VERSION_KEY } from './keys.ts';

/** From one layout of the store to the next. */
export interface MigrationStep {
  /** The version that it begins with; it ends with the next. */
  from: number;
  /** What changes, for the log: "snapshots are compressed". */
  about: string;
  /**
   * Rewrites what has to change, through `write`, from behind `done` on (undefined at the beginning) in the order of keys. A batch
   * holds whole pieces of work and names the last key that they are through with, and goes to disk together with that; a
   * process that is killed goes on there. Whatever it finds behind `done` is untouched.
   */
  run(storage: Storage, done: Uint8Array | undefined, write: MigrationWrite): Promise<void>;
}

export type MigrationWrite = (operations: readonly BatchOperation[], done: Uint8Array) => Promise<void>;

/** Steps of all versions up to this program's, in order. A store of each older version is opened by tests for ever. */
export const MIGRATIONS: readonly MigrationStep[] = [];

const MARK_BYTES = 4 * 1024;

export interface MigrateOptions {
  steps: readonly MigrationStep[];
  /** This program's version. */
  to: number;
  log?: Log | undefined;
}

/**
 * Brings a store to this program's version, before anything else reads it. The version is raised when a step begins, so that an
 * older program never reads a store that is half rewritten; what is left of the step is in a mark beside it. Throws
 * `store_version` for a store of a newer program, and for one whose steps this program has not.
 */
export async function migrateStore(storage: Storage, { steps, to, log }: MigrateOptions): Promise<void> {
  for (;;) {
    const [version, mark] = await storage.getMany([VERSION_KEY, MIGRATION_KEY]);
    if (version === undefined) return;
    const at = version[0]!;
    if (at > to) {
      throw new FieldbookError(
        'store_version',
        `The store has version ${at}; this program reads version ${to}. Use the newer Fieldbook that wrote it, or restore a backup of before the upgrade.`,
      );
    }
    if (mark === undefined && at === to) return;
    const from = mark === undefined ? at : at - 1;
    const step = steps.find((each) => each.from === from);
    if (step === undefined) {
      throw new FieldbookError(
        'store_version',
        `The store has version ${from}, which this program cannot bring to version ${to}. Open it with a version between first.`,
      );
    }
    await runStep(storage, step, mark, log);
  }
}

async function runStep(
  storage: Storage,
  { from, about, run }: MigrationStep,
  mark: Uint8Array | undefined,
  log: Log | undefined,
): Promise<void> {
  const putMark = (done: Uint8Array | null): BatchOperation => ({
    type: 'put',
    key: MIGRATION_KEY,
    value: seal(encodeRecord({ done })),
  });
  let done: Uint8Array | undefined;
  if (mark === undefined) {
    log?.warn('store.migrating', { from, to: from + 1, about });
    await storage.batch([{ type: 'put', key: VERSION_KEY, value: new Uint8Array([from + 1]) }, putMark(null)], {
      sync: true,
    });
  } else {
    const kept = decodeRecord(unseal(mark, 'The mark of a migration'), MARK_BYTES)?.['done'];
    done = kept instanceof Uint8Array ? kept : undefined;
    log?.warn('store.migration_resumed', { from, to: from + 1, about });
  }
  await run(storage, done, (operations, through) => storage.batch([...operations, putMark(through)], { sync: true }));
  await storage.batch([{ type: 'del', key: MIGRATION_KEY }], { sync: true });
  log?.info('store.migrated', { from, to: from + 1 });
}
