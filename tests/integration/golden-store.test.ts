import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { describe, expect, it } from 'vitest';
import type { DocumentName } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { makeTestEdit, SeededRandom, testDevice } from '@fieldbook/core/testing';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { emptyFolder } from '../scaffold/folder.ts';

const GOLDEN = join(ROOT, 'tests/golden/store');

interface Expected {
  lastSeq: number;
  private: Record<string, string>;
  documents: Record<string, { edits: string[]; cards: number }>;
}

describe('stores that older programs wrote', () => {
  const versions = readdirSync(GOLDEN).filter((name) => /^v\d+$/.test(name));

  it('[OPS-14] are opened with everything in them, written to, and opened again', async () => {
    expect(versions).toContain('v1');
    for (const version of versions) {
      const expected = JSON.parse(readFileSync(join(GOLDEN, `${version}.json`), 'utf8')) as Expected;
      // Opening changes files.
      const folder = emptyFolder('golden');
      cpSync(join(GOLDEN, version), folder, { recursive: true });
      let lastSeq = expected.lastSeq;
      for (const opening of [1, 2]) {
        const db = new ClassicLevel<Uint8Array, Uint8Array>(folder, { keyEncoding: 'view', valueEncoding: 'view' });
        await db.open();
        const random = new SeededRandom(opening);
        const replica = await openReplica({ storage: levelStorage(db as never), device: testDevice(random), random });
        expect(replica.lastSeq).toBe(lastSeq);
        for (const [key, text] of Object.entries(expected.private))
          expect(new TextDecoder().decode(await replica.getPrivate(key))).toBe(text);
        for (const [name, content] of Object.entries(expected.documents)) {
          const info = await replica.info(name as DocumentName);
          expect(info?.quarantined).toBe(false);
          const found = await replica.read(name as DocumentName, (doc) => ({
            edits: [...new Book(doc).edits()].map(([id]) => id).toSorted((a, b) => (a < b ? -1 : 1)),
            cards: doc.getMap('cards').size,
          }));
          expect(found).toEqual(content);
          const edit = makeTestEdit({ id: `${String(opening).repeat(26)}` as never });
          await replica.transact(name as DocumentName, (doc) => new Book(doc).addEdit(edit));
          content.edits = [...content.edits, edit.id].toSorted((a, b) => (a < b ? -1 : 1));
        }
        lastSeq = replica.lastSeq;
        await replica.close();
      }
    }
  });
});
