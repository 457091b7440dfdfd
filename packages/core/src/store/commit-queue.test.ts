import { expect, it } from 'vitest';
import type { BatchOperation, Storage } from '../ports.ts';
import { CommitQueue } from './commit-queue.ts';

const nothing = async function* (): AsyncGenerator<never> {};

/** A storage that takes everything at once. */
function storage(written: string[]): Storage {
  return {
    get: async () => undefined,
    getMany: async (keys) => keys.map(() => undefined),
    range: nothing,
    keys: nothing,
    batch: async (operations: readonly BatchOperation[]) => {
      for (const { key } of operations) written.push(new TextDecoder().decode(key));
    },
    close: async () => undefined,
  };
}

it('[STO-3] ends work that comes in any of the turns after the last batch', async () => {
  const written: string[] = [];
  const queue = new CommitQueue(storage(written), async () => []);
  const write = (name: string): Promise<void> =>
    queue.write((batch) => batch.push({ type: 'put', key: new TextEncoder().encode(name), value: new Uint8Array(0) }));
  for (let turns = 0; turns < 8; turns++) {
    await write(`before ${turns}`);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await write(`after ${turns}`);
  }
  expect(written).toHaveLength(16);
});
