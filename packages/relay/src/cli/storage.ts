import { FieldbookError } from '@fieldbook/core';
import { Library } from '@fieldbook/core/library';
import type { NamedReport } from '@fieldbook/core/usage';
import { storageLines, withNames } from '@fieldbook/core/usage';
import type { RelayConfig } from '../config/index.ts';
import { askJson } from '../control.ts';
import { hasStore } from '../platform/data.ts';
import { measureRelay } from '../platform/usage.ts';
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

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** `1.4 MB`; decimal units, as disks have them. */
export function inBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1_000;
  return `${unit === 0 ? value : Number(value.toPrecision(3))} ${UNITS[unit]}`;
}
