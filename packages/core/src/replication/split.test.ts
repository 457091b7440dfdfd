import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { SeededRandom } from '../testing/index.ts';
import { splitUpdate } from './split.ts';

/** A document that several clients wrote in turn, overwriting and deleting each other's keys. */
function tangled(random: SeededRandom, clients: number, changes: number): Y.Doc {
  const docs = Array.from({ length: clients }, () => new Y.Doc());
  for (let index = 0; index < changes; index++) {
    const doc = random.pick(docs);
    const map = doc.getMap(random.pick(['cards', 'edits']));
    const key = `k${random.int(changes / 3)}`;
    if (random.chance(0.1)) map.delete(key);
    else map.set(key, random.bytes(20 + random.int(200)));
    if (random.chance(0.3)) Y.applyUpdate(random.pick(docs), Y.encodeStateAsUpdate(doc));
  }
  for (const doc of docs) Y.applyUpdate(docs[0]!, Y.encodeStateAsUpdate(doc));
  return docs[0]!;
}

describe('splitting an update', () => {
  it('[RPL-6] parts applied in order need nothing that follows and end in the same document', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const random = new SeededRandom(seed);
      const source = tangled(random, 1 + random.int(5), 300);
      const target = new Y.Doc();
      const partial = new Y.Doc();
      // Half of the runs start from a replica that has some of it.
      if (random.chance(0.5)) Y.applyUpdate(partial, Y.encodeStateAsUpdate(tangled(new SeededRandom(seed), 1, 10)));
      Y.applyUpdate(target, Y.encodeStateAsUpdate(partial));
      const whole = Y.encodeStateAsUpdate(source, Y.encodeStateVector(target));
      const parts = splitUpdate(whole, 2_000);
      expect(parts.length, `seed ${seed}`).toBeGreaterThan(3);
      for (const part of parts) {
        expect(part.length, `seed ${seed}`).toBeLessThan(6_000 + whole.length / 10);
        Y.applyUpdate(target, part);
        expect([target.store.pendingStructs, target.store.pendingDs], `seed ${seed}`).toEqual([null, null]);
      }
      Y.applyUpdate(partial, whole);
      expect(target.getMap('cards').toJSON()).toEqual(partial.getMap('cards').toJSON());
      expect(Y.encodeStateVector(target)).toEqual(Y.encodeStateVector(partial));
      expect(Y.encodeStateAsUpdate(target)).toEqual(Y.encodeStateAsUpdate(partial));
    }
  });

  it('leaves an update alone that is small enough', () => {
    const update = Y.encodeStateAsUpdate(tangled(new SeededRandom(1), 2, 20));
    expect(splitUpdate(update, update.length)).toEqual([update]);
  });
});
