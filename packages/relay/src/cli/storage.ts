import { FieldbookError } from '@fieldbook/core';
import { Library } from '@fieldbook/core/library';
import type { NamedReport } from '@fieldbook/core/usage';
import { Orphans, storageLines, withNames } from '@fieldbook/core/usage';
import type { RelayConfig } from '../config/index.ts';
import type { CheckedBlobs } from '../blob-care.ts';
import { BlobCare } from '../blob-care.ts';
import { askJson } from '../control.ts';
import { hasStore } from '../platform/data.ts';
import { measureRelay } from '../platform/usage.ts';
import { clock } from '../platform/ports.ts';
import type { Cleaned, Kept } from '../retention.ts';
import { Retention } from '../retention.ts';
import { withStore } from './with-store.ts';

/** `fieldbook-relay storage`: the running relay measures, or this command when none runs. */
export async function storage(options: { json?: boolean }, config: RelayConfig): Promise<void> {
  // Looking must not make an empty store.
  if (!(await hasStore(config.data)))
    throw new FieldbookError('not_found', `There is no relay's store in ${config.data}.`);
  const report =
    (await askJson<NamedReport>(config.data, 'storage')) ??
    (await withStore(config, 'it runs and cannot be asked, see its log', async (open) => {
      const library = await Library.open(open.replica, open.log);
      try {
        const measured = await measureRelay(open);
        return await withNames(measured, async (project, run) => (await library.run(project, run))?.name);
      } finally {
        library.close();
      }
    }));
  if (options.json === true) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else for (const line of storageLines(report, inBytes)) process.stdout.write(`${line}\n`);
}

/** `fieldbook-relay storage clean`: what the relay does daily, now. */
export async function clean(options: { json?: boolean; dryRun?: boolean }, config: RelayConfig): Promise<void> {
  if (!(await hasStore(config.data)))
    throw new FieldbookError('not_found', `There is no relay's store in ${config.data}.`);
  const dryRun = options.dryRun === true;
  const cleaned =
    (await askJson<Cleaned>(config.data, dryRun ? 'clean-dry' : 'clean')) ??
    (await withStore(
      config,
      'it runs and cannot be asked, see its log',
      async ({ replica, blobs, data, audit, log }) => {
        const orphans = await Orphans.open({ replica, blobs, clock });
        return new Retention({ replica, orphans, data, audit, log, config }).clean({ dryRun });
      },
    ));
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(cleaned, null, 2)}\n`);
    return;
  }
  for (const [what, { count, bytes }] of Object.entries(cleaned.went))
    process.stdout.write(`${ABOUT[what as Kept].padEnd(34)}  ${String(count).padStart(8)}  ${inBytes(bytes)}\n`);
  if (cleaned.held !== null) process.stdout.write(`Blobs stay: ${cleaned.held}\n`);
  if (dryRun) process.stdout.write('Nothing was removed.\n');
}

/** `fieldbook-relay storage check`: reads every blob; ends with 1 when something is damaged or points are missing. */
export async function check(options: { json?: boolean }, config: RelayConfig): Promise<void> {
  if (!(await hasStore(config.data)))
    throw new FieldbookError('not_found', `There is no relay's store in ${config.data}.`);
  const found =
    (await askJson<CheckedBlobs>(config.data, 'check')) ??
    (await withStore(config, 'it runs and cannot be asked, see its log', async (open) =>
      (await BlobCare.open(open)).check(),
    ));
  const { count, bytes, damaged, missing, runs } = found;
  const isWhole = damaged.length === 0 && missing.points + missing.objects === 0;
  if (!isWhole) process.exitCode = 1;
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    return;
  }
  const out = (line: string): void => void process.stdout.write(`${line}\n`);
  out(`${count} blobs read, ${inBytes(bytes)}.`);
  for (const digest of damaged) out(`Damaged, moved to blobs/corrupt: ${digest}`);
  if (missing.points + missing.objects > 0)
    out(`Missing: ${missing.points} of points and ${missing.objects} of objects, of ${runs.join(', ')}`);
  if (missing.files > 0) out(`Files that are not here, as some are not meant to be: ${missing.files} blobs.`);
  out(isWhole ? 'Nothing is damaged.' : '"fieldbook sync" on a machine that has it sends again what is missing here.');
}

const ABOUT: Readonly<Record<Kept, string>> = {
  blobs: 'blobs that no run names',
  log: 'parts of the log for repair',
  replaced: 'documents of before a repair',
  damaged: 'damaged blobs and archives',
  unfinished: 'uploads that were cut short',
  audit: 'full files of the audit log',
};

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** `1.4 MB`; decimal units, as disks have them. */
export function inBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1_000;
  return `${unit === 0 ? value : Number(value.toPrecision(3))} ${UNITS[unit]}`;
}
