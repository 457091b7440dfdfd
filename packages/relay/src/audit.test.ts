import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditEntry } from './audit.ts';
import { Audit, readAudit } from './audit.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fieldbook-audit-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function all(path: string, since?: number): Promise<AuditEntry[]> {
  const entries = [];
  for await (const entry of readAudit(path, since)) entries.push(entry);
  return entries;
}

describe('the audit log', () => {
  it('[ACC-12] keeps lines in order over files, removes the oldest file only, and is its owner’s alone', async () => {
    const path = join(folder, 'audit.jsonl');
    let now = 1_000;
    const audit = new Audit(path, { maxBytes: 2_000, keep: 2, now: () => now });
    for (let count = 0; count < 200; count++) {
      now += 1_000;
      audit.record('repair', { count });
      await audit.flush();
    }
    const entries = await all(path);
    const counts = entries.map((entry) => entry.count!);
    expect(counts.at(-1)).toBe(199);
    expect(counts).toEqual(Array.from(counts, (_, index) => 200 - counts.length + index));
    expect(readdirSync(folder)).toHaveLength(3);
    for (const file of readdirSync(folder)) {
      expect(statSync(join(folder, file)).size).toBeLessThan(2_200);
      expect(statSync(join(folder, file)).mode & 0o077).toBe(0);
    }
    expect(await all(path, now - 2_000)).toHaveLength(3);
    expect(await all(join(folder, 'none.jsonl'))).toEqual([]);
  });

  it('[ACC-12] writes no secret, whatever a caller hands in, and reads past a torn line', async () => {
    const path = join(folder, 'audit.jsonl');
    const secret = `fbt_${'aB3_-'.repeat(8)}`;
    const audit = new Audit(path);
    audit.record('token.created', { id: 'abcdefgh', reason: `for ${secret} and more` });
    await audit.flush();
    expect(readFileSync(path, 'utf8')).not.toContain(secret.slice(0, 20));
    writeFileSync(path, `${readFileSync(path, 'utf8')}{"time": "2026-\n`);
    audit.record('token.revoked', { id: 'abcdefgh' });
    await audit.close();
    expect((await all(path)).map(({ event }) => event)).toEqual(['token.created', 'token.revoked']);
  });

  it('[ACC-12] counts the same refusal within a minute instead of writing it, so that nobody pushes the rest out', async () => {
    const path = join(folder, 'audit.jsonl');
    let now = 0;
    const audit = new Audit(path, { now: () => now });
    for (let knock = 0; knock < 5_000; knock++) audit.refused('access.refused', { code: 'unauthorized', address: 'a' });
    for (let who = 0; who < 5_000; who++) audit.refused('access.refused', { code: 'unauthorized', address: `b${who}` });
    now = 61_000;
    audit.refused('access.refused', { code: 'unauthorized', address: 'a' });
    await audit.close();
    const entries = await all(path);
    expect(entries.length).toBeLessThan(1_100);
    expect(entries.filter(({ address }) => address === 'a').map(({ count }) => count)).toEqual([
      undefined,
      4_999,
      undefined,
    ]);
    expect(entries.find(({ address }) => address === undefined)?.count).toBe(4_001);
  });
});
