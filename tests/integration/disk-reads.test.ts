import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { ask, startAgent } from '../fixtures/agent.ts';
import { Box } from '../fixtures/box.ts';
import type { Fault } from '../fixtures/faulty-disk.ts';
import { FaultyDisk, whyNoFaultyDisk } from '../fixtures/faulty-disk.ts';
import { Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { amount, LONG } from '../scaffold/mode.ts';

const impossible = whyNoFaultyDisk();
if (impossible !== undefined)
  console.warn(`Disks that cannot be read are not tested under real programs: ${impossible}.`);

/** How what a store is opened from can fail: its log, its manifest, what names that, its tables. */
const OPENING: readonly Fault[] = [
  ['read', 'EIO', '.log'],
  ['open', 'EMFILE', '.log'],
  ['read', 'EIO', '/MANIFEST-'],
  ['open', 'EIO', '/MANIFEST-'],
  ['read', 'EIO', '/CURRENT'],
  ['open', 'EMFILE', '/CURRENT'],
  ['read', 'EIO', '.ldb'],
  ['open', 'EMFILE', '.ldb'],
];

describe.skipIf(impossible !== undefined)('real programs on a disk that cannot be read', () => {
  it(
    '[PRF-12] a relay does not start on a store that it cannot read, nor opens one again, and has everything once it can',
    async () => {
      const disk = new FaultyDisk();
      const relay = await new Relay().up([], disk.env);
      const token = await relay.token('member', 'ada');
      const ada = await Box.open();
      await ada.join(relay.url, token);
      const acknowledged = await ada.addEdits(5);
      await ada.settled();
      const everything = async (): Promise<void> => {
        const late = await Box.open();
        await late.join(relay.url, token);
        await late.until(async () => (await late.edits()).length >= acknowledged.length);
        expect(await late.edits()).toEqual(acknowledged.toSorted((a, b) => (a < b ? -1 : 1)));
        await late.stop();
      };
      // Writes that fail for a while have it opened again; what was acknowledged lies in the log alone until then.
      disk.fails(['sync', 'EIO', '/store/']);
      acknowledged.push(...(await ada.addEdits(5)));
      await ada.until(async () => (await ada.client!.status()).problem !== null);
      disk.fails(['read', 'EIO', '.log']);
      ada.client!.retry();
      const ready = async (): Promise<unknown> => (await fetch(`${relay.url}/readyz`)).json();
      expect(await ready()).toEqual({ ready: false, reasons: ['storage_failed'] });
      expect(
        (await relay.api(token, 'GET', '/documents/book/mnist/2026-11').catch(() => ({ status: 200 }))).status,
      ).toBe(200);
      disk.heals();
      await vi.waitFor(async () => expect(await ready()).toMatchObject({ ready: true }), { timeout: 20_000 });
      ada.client!.retry();
      await ada.settled();
      await everything();
      acknowledged.push(...(await ada.addEdits(5)));
      await ada.settled();
      await relay.down('SIGKILL');
      for (const fault of OPENING.slice(0, amount(1, OPENING.length))) {
        disk.fails(fault);
        const [code, said] = await disk.start('fieldbook-relay', relay.data);
        expect([fault, code, said]).toEqual([fault, 1, expect.stringContaining('(storage_failed)')]);
      }
      disk.heals();
      if (LONG) {
        const current = join(relay.data, 'store/CURRENT');
        renameSync(current, `${current}.lost`);
        expect(await disk.start('fieldbook-relay', relay.data)).toEqual([
          1,
          expect.stringContaining('(store_corrupt)'),
        ]);
        renameSync(`${current}.lost`, current);
      }
      await relay.up([], disk.env);
      await everything();
    },
    amount(60_000, 600_000),
  );

  it.runIf(LONG)(
    '[PRF-12] an agent does not start on a store that it cannot read, and has everything once it can',
    async () => {
      const disk = new FaultyDisk();
      const home = emptyFolder('reads');
      let agent = await startAgent(home, { env: disk.env });
      const script = new Script(home, 'faults', 'run-1');
      for (let step = 0; step < 5; step++) script.log(step, step);
      await vi.waitFor(async () => expect((await ask(agent, 'POST', '/drain', {})).status).toBe(200));
      const tagged = await ask(agent, 'POST', '/runs/run-1/edits', [{ field: 'tags', op: 'add', value: 'kept' }]);
      expect(tagged.status).toBe(200);
      await agent.program.stop('SIGKILL');
      for (const fault of OPENING) {
        disk.fails(fault);
        const [code, said] = await disk.start('fieldbook', home);
        expect([fault, code, said]).toEqual([fault, 1, expect.stringContaining('(storage_failed)')]);
      }
      disk.heals();
      agent = await startAgent(home);
      const [run] = (await ask(agent, 'GET', '/projects/faults/runs')).json.runs;
      expect(run.tags).toEqual(['kept']);
    },
    amount(60_000, 600_000),
  );
});
