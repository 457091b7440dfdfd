import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Log } from '@fieldbook/core';
import { openReplica } from '@fieldbook/core/replica';
import { MemoryStorage, SeededRandom, testDevice } from '@fieldbook/core/testing';
import { Orphans } from '@fieldbook/core/usage';
import { Audit, readAudit } from './audit.ts';
import { openBlobs, openDirectory } from './platform/data.ts';
import { clock } from './platform/ports.ts';
import { Retention } from './retention.ts';

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const DAY = 86_400_000;

async function open(config: Partial<Record<'orphans' | 'aside' | 'audit', number>> = {}) {
  const root = mkdtempSync(join(tmpdir(), 'fieldbook-retention-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const data = await openDirectory(root);
  const random = new SeededRandom(3);
  const replica = await openReplica({ storage: new MemoryStorage(), device: testDevice(random), random });
  const orphans = await Orphans.open({ replica, blobs: openBlobs(data.blobs), clock });
  const audit = new Audit(data.audit);
  const { orphans: graceMs = null, aside = null, audit: auditMs = null } = config;
  const retention = new Retention({
    replica,
    orphans,
    data,
    audit,
    log: quiet,
    config: { 'retention.orphans': graceMs, 'retention.aside': aside, 'retention.audit': auditMs },
  });
  const entries = async (): Promise<unknown[]> => {
    await audit.flush();
    const found: unknown[] = [];
    for await (const { event, what, count, bytes } of readAudit(data.audit)) found.push([event, what, count, bytes]);
    return found;
  };
  return { root, data, retention, entries, blobs: openBlobs(data.blobs), replica };
}

describe('retention', () => {
  it('[OPS-19] removes damaged blobs, uploads cut short and full audit files when they are old, each in the audit log', async () => {
    // The time of a file's last change cannot be set: a minute from now counts as old.
    const { root, retention, entries } = await open({ aside: -60_000, audit: 30 * DAY });
    const at = (ms: number): string => new Date(ms).toISOString().replaceAll(':', '');
    const [old, young] = [Date.now() - 31 * DAY, Date.now() - 29 * DAY];
    const put = (path: string, text: string): string => {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), text);
      return path;
    };
    put(`audit.${at(old)}.jsonl`, 'aa\n');
    const keeps = [put(`audit.${at(young)}.jsonl`, 'b\n'), put('blobs/tmp/young', 'half'), put('archive/x', 'x')];
    put('blobs/tmp/old', 'half');
    utimesSync(join(root, 'blobs/tmp/old'), old / 1_000, old / 1_000);
    put(`blobs/corrupt/${'a'.repeat(64)}.abc`, 'wrong');
    put(`archive.unreadable-${old}/one`, '123');
    keeps.push(put(`archive.unreadable-${Date.now() + DAY}/one`, '123'));
    const dry = await retention.clean({ dryRun: true });
    expect(dry.went).toMatchObject({
      audit: { count: 1, bytes: 3 },
      unfinished: { count: 1, bytes: 4 },
      damaged: { count: 2, bytes: 8 },
    });
    expect(await entries()).toEqual([]);
    expect(await retention.clean({ dryRun: false })).toEqual({ ...dry, dryRun: false });
    expect(await entries()).toEqual([
      ['retention', 'damaged', 2, 8],
      ['retention', 'unfinished', 1, 4],
      ['retention', 'audit', 1, 3],
    ]);
    for (const path of keeps) expect(readFileSync(join(root, path)).length).toBeGreaterThan(0);
    expect(readdirSync(join(root, 'blobs/corrupt'))).toEqual([]);
    expect((await retention.clean({ dryRun: false })).went).toMatchObject({
      audit: { count: 0 },
      damaged: { count: 0 },
    });
  });

  it('[OPS-19] removes nothing while a backup is being made, and ends what is under way before one begins', async () => {
    const { retention, blobs, replica, entries } = await open({ orphans: 0 });
    const digests = await Promise.all([1, 2, 3].map((n) => blobs.write(new Uint8Array(n))));
    // Begins the wait; what has waited for no time at all goes with the next.
    await retention.clean({ dryRun: false });
    const release = await retention.hold();
    await expect(retention.clean({ dryRun: false })).rejects.toThrow('A backup is being made');
    for (const digest of digests) expect(await blobs.stat(digest)).toBeDefined();
    release();
    // One that begins while blobs are looked at: the look ends without removing any.
    const list = replica.list.bind(replica);
    let held: Promise<() => void> | undefined;
    replica.list = (prefix) => {
      held ??= retention.hold();
      return list(prefix);
    };
    await expect(retention.clean({ dryRun: false })).rejects.toThrow('A backup is being made');
    const second = await held!;
    for (const digest of digests) expect(await blobs.stat(digest)).toBeDefined();
    expect(await entries()).toEqual([]);
    second();
    second();
    expect((await retention.clean({ dryRun: false })).went.blobs).toEqual({ count: 3, bytes: 6 });
    for (const digest of digests) expect(await blobs.stat(digest)).toBeUndefined();
    expect(await entries()).toEqual([['retention', 'blobs', 3, 6]]);
  });
});
