import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { StaticSite } from './static.ts';

it('[API-34] whoever loads a page shares its files in memory, and gets them as they are now', async () => {
  const root = mkdtempSync(join(tmpdir(), 'fieldbook-site-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  writeFileSync(join(root, 'index.html'), 'one');
  const site = new StaticSite(root);
  const load = async (etag?: string) => site.respond('/', etag, 'relay');
  const [one, other] = await Promise.all([load(), load()]);
  expect(new TextDecoder().decode(one.body as Uint8Array)).toBe('one');
  const again = await load();
  expect(again.body).toBe((await load()).body);
  expect(other.headers['etag']).toBe(again.headers['etag']);
  expect((await load(again.headers['etag'])).status).toBe(304);
  writeFileSync(join(root, 'index.html'), 'another');
  const now = await load(again.headers['etag']);
  expect([now.status, new TextDecoder().decode(now.body as Uint8Array)]).toEqual([200, 'another']);
});
