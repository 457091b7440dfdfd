import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
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
import { startProgram } from '../scaffold/program.ts';

const impossible = whyNoFaultyDisk();
if (impossible !== undefined) console.warn(`Disks that fail under real programs are not tested: ${impossible}.`);

/** What a log of a database can meet, and the code that it is refused with. */
const STORE_FAULTS: readonly (readonly [Fault, string])[] = [
  [['sync', 'EIO', '/store/'], 'storage_failed'],
  [['torn', 'ENOSPC', '/store/'], 'disk_full'],
  [['write', 'EIO', '/store/'], 'storage_failed'],
  [['torn', 'EIO', '/store/'], 'storage_failed'],
  [['write', 'ENOSPC', '/store/'], 'disk_full'],
];

async function filesOf(folder: string): Promise<string[]> {
  return readdirSync(folder).filter((name) => name.endsWith('.tmp') || name.includes('.used'));
}

describe.skipIf(impossible !== undefined)('real programs on a disk that fails', () => {
  it(
    '[PRF-9] a relay refuses with a code, goes on serving reads, is well again by itself, and has everything acknowledged after kill -9',
    async () => {
      const disk = new FaultyDisk();
      const relay = await new Relay().up([], disk.env);
      const token = await relay.token('member', 'ada');
      const [ada, bob] = [await Box.open(), await Box.open()];
      await ada.join(relay.url, token);
      await bob.join(relay.url, token);
      const acknowledged = await ada.addEdits(5);
      await ada.settled();
      await bob.until(async () => (await bob.edits()).length === acknowledged.length);
      for (const [fault, code] of STORE_FAULTS.slice(0, amount(1, STORE_FAULTS.length))) {
        const what = fault.join(' ');
        disk.fails(fault);
        const refused = await ada.addEdits(5);
        await ada.until(async () => (await ada.client!.status()).problem !== null);
        await vi.waitFor(
          async () =>
            expect([what, await (await fetch(`${relay.url}/readyz`)).json()]).toEqual([
              what,
              { ready: false, reasons: [code] },
            ]),
          { timeout: 20_000, interval: 50 },
        );
        // Also of a document that it has to read from the disk: a new one asks for all.
        const headers = { authorization: `Bearer ${token}` };
        for (const path of ['projects', 'documents/book/mnist/2026-11'])
          expect([what, (await fetch(`${relay.url}/api/v1/${path}`, { headers })).status]).toEqual([what, 200]);
        const reader = await Box.open();
        await reader.join(relay.url, token);
        await reader.until(async () => (await reader.edits()).length === acknowledged.length);
        await reader.leave();
        disk.heals();
        acknowledged.push(...refused);
        ada.client!.retry();
        await ada.settled();
        bob.client!.retry();
        await bob.until(async () => (await bob.edits()).length === acknowledged.length);
      }
      await ada.leave();
      await bob.leave();
      await relay.down('SIGKILL');
      await relay.up();
      const late = await Box.open();
      await late.join(relay.url, token);
      await late.until(async () => (await late.edits()).length === acknowledged.length);
      expect(await late.edits()).toEqual(acknowledged.toSorted((a, b) => (a < b ? -1 : 1)));
    },
    amount(60_000, 600_000),
  );

  it(
    '[PRF-11] an agent refuses edits with a code, goes on serving reads, takes in what scripts wrote once it is well, and has it all after kill -9',
    async () => {
      const disk = new FaultyDisk();
      const home = emptyFolder('agent');
      let agent = await startAgent(home, { env: disk.env });
      const script = new Script(home, 'faults', 'run-1');
      const shown = async (): Promise<[number, number[] | undefined]> => {
        const { status, json } = await ask(agent, 'GET', '/runs/run-1/series?metric=loss&points=1000');
        return [status, json?.points?.steps];
      };
      const tag = (word: string) =>
        ask(agent, 'POST', '/runs/run-1/edits', [{ field: 'tags', op: 'add', value: word }]);
      const tags: string[] = [];
      let steps = 0;
      const log = (count: number): void => {
        for (const end = steps + count; steps < end; steps++) script.log(steps, steps);
      };
      const upTo = (count: number): number[] => Array.from({ length: count }, (_, step) => step);
      log(5);
      await vi.waitFor(async () => expect((await ask(agent, 'POST', '/drain', {})).status).toBe(200));
      for (const [fault, code] of STORE_FAULTS.slice(0, amount(1, STORE_FAULTS.length))) {
        const what = fault.join(' ');
        const word = `before ${what}`;
        expect([what, (await tag(word)).status]).toEqual([what, 200]);
        tags.push(word);
        disk.fails(fault);
        const refused = await tag(`refused ${what}`);
        expect([what, refused.status >= 500, refused.json.error.code]).toEqual([what, true, code]);
        const there = steps;
        // The script's disk is well: it is never told.
        log(5);
        expect((await ask(agent, 'POST', '/drain', {})).status, what).toBeGreaterThanOrEqual(500);
        expect([what, ...(await shown())]).toEqual([what, 200, upTo(there)]);
        // What was refused as its bytes could not be made sure of may be there all the same, as what got no answer.
        const kept = (await ask(agent, 'GET', '/projects/faults/runs')).json.runs[0].tags as string[];
        expect(
          kept.filter((each) => !each.startsWith('refused')),
          what,
        ).toEqual(tags.toSorted());
        disk.heals();
        await vi.waitFor(async () => expect((await tag(`after ${what}`)).status).toBe(200), { timeout: 20_000 });
        tags.push(`after ${what}`);
        await vi.waitFor(async () => expect((await ask(agent, 'POST', '/drain', {})).status).toBe(200), {
          timeout: 20_000,
        });
        expect([what, ...(await shown())]).toEqual([what, 200, upTo(steps)]);
      }
      await agent.program.stop('SIGKILL');
      agent = await startAgent(home);
      await vi.waitFor(async () => expect(await shown()).toEqual([200, upTo(steps)]));
      const [run] = (await ask(agent, 'GET', '/projects/faults/runs')).json.runs;
      expect(run.tags).toEqual(expect.arrayContaining(tags));
    },
    amount(60_000, 600_000),
  );

  it('[PRF-10] blobs, tokens, invitations, the audit log and backups: refused with a code, nothing half, nothing left lying about', async () => {
    const disk = new FaultyDisk();
    const relay = await new Relay().up([], disk.env);
    const admin = await relay.token('admin', 'root');
    const asked = async (
      method: string,
      path: string,
      body?: unknown,
    ): Promise<[number, string | undefined, Record<string, unknown>]> => {
      const { status, body: answer } = await relay.api<Record<string, unknown>>(admin, method, path, body);
      return [status, (answer['error'] as { code: string } | undefined)?.code, answer];
    };
    const put = async (text: string): Promise<[number, string | undefined]> => {
      const digest = createHash('sha256').update(text).digest('hex');
      const headers = { authorization: `Bearer ${admin}` };
      const response = await fetch(`${relay.url}/api/v1/blobs/${digest}`, { method: 'PUT', body: text, headers });
      const said = JSON.parse((await response.text()) || '{}') as { error?: { code: string } };
      return [response.status, said.error?.code];
    };
    const cases: [Fault, [number, string]][] = [
      [
        ['torn', 'ENOSPC', '/'],
        [507, 'disk_full'],
      ],
      [
        ['sync', 'EIO', '/'],
        [500, 'storage_failed'],
      ],
    ];
    for (const [[call, error], refused] of cases.slice(0, amount(1, 2))) {
      // Blobs.
      disk.fails([call, error, '/blobs/']);
      expect(await put(`blob ${call}`)).toEqual(refused);
      expect(readdirSync(join(relay.data, 'blobs', 'tmp'))).toEqual([]);
      disk.heals();
      expect((await put(`blob ${call}`))[0]).toBeLessThan(300);

      // Invitations: one that cannot be made, and one whose token cannot be.
      disk.fails([call, error, '/invitations/']);
      const spec = { role: 'member', name: call };
      expect((await asked('POST', '/invitations', spec)).slice(0, 2)).toEqual(refused);
      expect(await filesOf(join(relay.data, 'invitations'))).toEqual([]);
      disk.heals();
      const [, , made] = await asked('POST', '/invitations', spec);
      const secret = /fbi_[A-Za-z0-9_-]{43}/.exec(JSON.stringify(made))![0];
      const redeem = () => asked('POST', '/invitations/redeem', { secret, device: 'laptop' });
      disk.fails([call, error, '/tokens/']);
      expect((await redeem()).slice(0, 2)).toEqual(refused);
      expect(await filesOf(join(relay.data, 'tokens'))).toEqual([]);
      // Who was invited has not lost the invitation, and it is good once.
      disk.heals();
      expect((await redeem())[0]).toBeLessThan(300);
      expect((await redeem())[1]).toBe('unauthorized');
      expect(await filesOf(join(relay.data, 'invitations'))).toEqual([]);

      // The audit log: what could not be written is when it can, and no line is torn.
      disk.fails([call, error, '/audit']);
      expect((await asked('POST', '/invitations', { role: 'member', name: `unseen ${call}` }))[0]).toBeLessThan(300);
      await relay.says(/audit\.unwritable/);
      disk.heals();
      expect((await asked('POST', '/invitations', { role: 'member', name: `seen ${call}` }))[0]).toBeLessThan(300);
      await vi.waitFor(() => {
        const lines = readFileSync(join(relay.data, 'audit.jsonl'), 'utf8')
          .split('\n')
          .filter((line) => line !== '');
        const entries = lines.flatMap((line) => {
          try {
            return [JSON.parse(line) as Record<string, unknown>];
          } catch {
            return [];
          }
        });
        const text = JSON.stringify(entries);
        const said = [`unseen ${call}`, `"seen ${call}`, 'was used already'].map((each) => text.includes(each));
        expect(said).toEqual([true, true, true]);
      });
    }

    if (!LONG) return;
    // A backup that cannot be written is refused, leaves the ones before it whole, and can be made when there is room.
    const backups = emptyFolder('backups');
    const command = async (verb: string, flag: string): Promise<{ code: number | null; output: string }> => {
      const from = verb === 'create' ? ['--data', relay.data] : [];
      const env = { FIELDBOOK_HOME: relay.data, ...disk.env };
      const program = startProgram('fieldbook-relay', ['backup', verb, ...from, flag, backups, '--json'], env);
      return { code: (await program.ended).code, output: program.output() };
    };
    expect((await command('create', '--to')).code).toBe(0);
    disk.fails(['torn', 'ENOSPC', join(backups, 'snapshots')]);
    const failed = await command('create', '--to');
    expect(failed.code).not.toBe(0);
    expect(failed.output).toMatch(/disk is full|no space/i);
    disk.heals();
    expect(readdirSync(backups, { recursive: true }).filter((name) => String(name).includes('partial'))).toEqual([]);
    const verified = await command('verify', '--from');
    expect([verified.code, JSON.parse(verified.output)]).toMatchObject([0, { backups: 1, problems: [] }]);
  });
});
