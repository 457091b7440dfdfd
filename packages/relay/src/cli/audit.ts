import { readAudit } from '../audit.ts';
import { openDirectory } from '../platform/data.ts';
import type { DataOption } from './program.ts';

/** Prints the audit log, oldest first: a line for people, or the JSON lines themselves. */
export async function printAudit(options: DataOption & { since?: number; json?: boolean }): Promise<void> {
  const { audit } = await openDirectory(options.data);
  for await (const entry of readAudit(audit, options.since ?? 0)) {
    const { time, event, ...fields } = entry;
    const said = Object.entries(fields).map(
      ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
    const line =
      options.json === true
        ? JSON.stringify(entry)
        : `${time.slice(0, 19).replace('T', ' ')}  ${event.padEnd(18)}  ${said.join('  ')}`.trimEnd();
    process.stdout.write(`${line}\n`);
  }
}
