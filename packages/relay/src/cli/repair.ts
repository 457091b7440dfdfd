import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { DocumentName } from '@fieldbook/core';
import type { CompactOptions, RepairOptions, RepairPorts } from '@fieldbook/core/repair';
import { compactDocument, documentElsewhere, repairDocument } from '@fieldbook/core/repair';
import type { WholeDocument } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import type { RelayConfig } from '../config/index.ts';
import { bundlePlatform } from '../platform/bundles.ts';
import { openLevel } from '../platform/data.ts';
import { clock } from '../platform/ports.ts';
import { withStore } from './with-store.ts';

/** `fieldbook-relay repair`. The server must not run: `store_locked`. */
export async function repair(
  document: string,
  options: RepairOptions & { token?: string },
  config: RelayConfig,
): Promise<void> {
  await onData(config, options.token, (ports) => repairDocument(ports, document, options));
}

/** `fieldbook-relay compact`. The server must not run: `store_locked`. */
export async function compact(document: string, options: CompactOptions, config: RelayConfig): Promise<void> {
  await onData(config, undefined, (ports) => compactDocument(ports, document, options));
}

function elsewhere(from: string, token: string | undefined, name: DocumentName): Promise<WholeDocument> {
  return documentElsewhere(
    {
      platform: bundlePlatform,
      tokenFor: () => token,
      fetch,
      stat: (path) => stat(path).catch(() => undefined),
      read: (path) => createReadStream(path),
      openStorage: async (path) => levelStorage(await openLevel(path)),
    },
    from,
    name,
  );
}

async function onData(
  config: RelayConfig,
  token: string | undefined,
  work: (ports: RepairPorts) => Promise<void>,
): Promise<void> {
  await withStore(config, 'a repair needs the store to itself', ({ replica, audit }) =>
    work({
      replica,
      now: () => clock.now(),
      inWords: (ms) => new Date(ms).toISOString().slice(0, 19).replace('T', ' '),
      print: (line) => void process.stdout.write(`${line}\n`),
      elsewhere: (from, name) => elsewhere(from, token, name),
      done: (fields) => audit.record('repair', fields),
    }),
  );
}
