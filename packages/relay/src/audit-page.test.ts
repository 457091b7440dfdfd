import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditPage } from './audit-page.ts';
import { readAuditPage } from './audit-page.ts';
import type { AuditEvent } from './audit.ts';
import { Audit } from './audit.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fieldbook-audit-'));
  path = join(folder, 'audit.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const page = (limit: number, before: string | null = null, events: AuditEvent[] | null = null): Promise<AuditPage> =>
  readAuditPage(path, { limit, before, events: events === null ? null : new Set(events) });
const counts = ({ entries }: AuditPage): unknown[] => entries.map(({ count }) => count);

/** A log that becomes full every few lines, and what writes more of it. */
function log(keep: number): (lines: number) => Promise<void> {
  let now = Date.UTC(2026, 10, 26);
  let written = 0;
  const audit = new Audit(path, { maxBytes: 800, keep, now: () => now });
  return async (lines) => {
    for (let line = 0; line < lines; line++) {
      now += 1_000;
      audit.record(written % 3 === 0 ? 'repair' : 'restore', { count: written++ });
      await audit.flush();
    }
  };
}

describe('pages of the audit log', () => {
  it('[ACC-67] go from the newest line to the oldest, each once, while the log goes on and files become full', async () => {
    expect(await page(5)).toEqual({ entries: [], next: null });
    const write = log(100);
    await write(100);
    const seen: unknown[] = [];
    let at = await page(7);
    for (;;) {
      seen.push(...counts(at));
      if (at.next === null) break;
      // Sometimes more than becomes full at once.
      await write(seen.length % 2 === 0 ? 1 : 13);
      at = await page(7, at.next);
    }
    expect(seen).toEqual(Array.from({ length: 100 }, (_, index) => 99 - index));
    expect(readdirSync(folder).length).toBeGreaterThan(10);
    // All that is left is on the last page, which says so.
    expect(await page(200)).toMatchObject({ next: null });
  });

  it('[ACC-67] have only what was asked for, and end where the oldest files were removed', async () => {
    const write = log(2);
    await write(9);
    const first = await page(2, null, ['repair']);
    expect(counts(first)).toEqual([6, 3]);
    expect(counts(await page(9, first.next, ['repair']))).toEqual([0]);
    await write(31);
    // One in the file that is written, one in a full one.
    const cursors = [(await page(1)).next, (await page(20)).next];
    expect(cursors).toEqual([expect.stringContaining('-after-2'), expect.stringContaining('-in-2')]);
    await write(200);
    for (const cursor of cursors) expect(await page(5, cursor)).toEqual({ entries: [], next: null });
  });

  it('[ACC-67] pass over lines that are torn, far too long or none, and refuse a cursor that is none', async () => {
    const line = (count: number): string =>
      `${JSON.stringify({ time: '2026-11-26T10:00:00.000Z', event: 'repair', count })}\n`;
    writeFileSync(path, `${line(0)}\n{"time": "20\n${line(1)}${'x'.repeat(2_500_000)}\n${line(2)}null\n${line(3)}`);
    appendFileSync(path, '{"time": "2026-11-26T10:00:00');
    expect(counts(await page(10))).toEqual([3, 2, 1, 0]);
    const two = await page(2);
    expect([counts(two), counts(await page(10, two.next))]).toEqual([
      [3, 2],
      [1, 0],
    ]);
    // A line that begins where a piece of the file does, and one that fills it.
    writeFileSync(path, `${line(0)}${' '.repeat(65_536 - 2 * line(1).length - 1)}\n${line(1)}${line(2)}`);
    expect(counts(await page(10))).toEqual([2, 1, 0]);
    for (const wrong of ['', '12', '-1-in-', '5-in-/../x', '99999999999999-in-'])
      await expect(page(1, wrong)).rejects.toMatchObject({ code: 'invalid_argument' });
    // Beyond the end, or in the middle of a line: nothing that is not there.
    expect(counts(await page(1, '999999999-after-'))).toEqual([2]);
    expect(counts(await page(9, '10-after-'))).toEqual([]);
  });

  it('[ACC-67] read a bounded part of the log for one answer', async () => {
    const filler = `${JSON.stringify({ time: '2026-11-26T10:00:00.000Z', event: 'restore', of: 'x'.repeat(400) })}\n`;
    const wanted = `${JSON.stringify({ time: '2026-11-26T10:00:00.000Z', event: 'repair', count: 1 })}\n`;
    writeFileSync(path, wanted + filler.repeat(20_000));
    let at = await page(5, null, ['repair']);
    expect(counts(at)).toEqual([]);
    let asked = 1;
    for (; at.next !== null && at.entries.length === 0; asked++) at = await page(5, at.next, ['repair']);
    expect([counts(at), asked]).toEqual([[1], 3]);
  });
});
