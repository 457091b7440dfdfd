// Makes a store of the present version: node tests/golden/store/make.mjs v1. Never run it again for a version that there is.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { bookName, projectIdOf, runDocumentName } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { makeCard, makeTestEdit, SeededRandom, testDevice } from '@fieldbook/core/testing';

const version = process.argv[2];
const folder = join(import.meta.dirname, version);
if (existsSync(folder)) throw new Error(`${folder} is there already.`);
const db = new ClassicLevel(folder, { keyEncoding: 'view', valueEncoding: 'view' });
await db.open();
const random = new SeededRandom(7);
const replica = await openReplica({ storage: levelStorage(db), device: testDevice(random), random });
const books = ['2026-04', '2026-05'].map((month) => bookName(projectIdOf('mnist'), month));
const expected = { lastSeq: 0, private: { greeting: 'hello' }, documents: {} };
for (const name of books) {
  const ids = [];
  await replica.transact(name, (doc) => new Book(doc).putCard(makeCard()));
  for (let n = 0; n < 12; n++) {
    const edit = makeTestEdit();
    ids.push(edit.id);
    await replica.transact(name, (doc) => new Book(doc).addEdit(edit));
  }
  expected.documents[name] = { edits: ids.sort(), cards: 1 };
}
// One with a snapshot and a log behind it.
await replica.compact(books[0]);
const late = makeTestEdit();
await replica.transact(books[0], (doc) => new Book(doc).addEdit(late));
expected.documents[books[0]].edits = [...expected.documents[books[0]].edits, late.id].sort();
await replica.transact(runDocumentName('run-1'), (doc) => doc.getMap('captures'), []);
await replica.putPrivate([['greeting', new TextEncoder().encode('hello')]]);
expected.lastSeq = replica.lastSeq;
await replica.close();
writeFileSync(join(import.meta.dirname, `${version}.json`), `${JSON.stringify(expected, null, 2)}\n`);
