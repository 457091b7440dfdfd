import { describe, expect, it } from 'vitest';
import type { DocumentName } from '../ids.ts';
import { FakeClock } from '../testing/index.ts';
import { Presence, writeAwareness } from './presence.ts';

const BOOK = 'book/mnist/2026-11' as DocumentName;
const KB = 1024;

function said(clients: readonly number[], clock: number, bytes: number): Uint8Array {
  const state = JSON.stringify('z'.repeat(bytes));
  return writeAwareness(clients, new Map(clients.map((client) => [client, { clock, state }])));
}

function speakers(presence: Presence, name = BOOK): number {
  let count = 0;
  for (const update of presence.current(name)) count += update[0]!;
  return count;
}

describe('presence', () => {
  it('[ROOM-9] what is said takes bounded memory, of one connection and of all, and what goes gives it back', () => {
    const clock = new FakeClock();
    const presence = new Presence(clock, { connection: 100 * KB, all: 250 * KB });
    let told = 0;
    presence.subscribe(() => (told += 1));
    const say = (name: string, client: number, bytes: number, origin: string): void =>
      presence.receive(name as DocumentName, said([client], clock.now(), bytes), origin);
    // Nobody's documents are no documents.
    say('any name', 1, 10, 'loud');
    expect([presence.bytes, told]).toEqual([0, 0]);
    for (let index = 0; index < 100; index++) say(`run/r${index}`, index, 10 * KB, 'loud');
    expect(presence.bytes).toBeGreaterThan(70 * KB);
    expect(presence.bytes).toBeLessThanOrEqual(100 * KB);
    // Others are heard meanwhile, and one that says the same speaker's next values needs no more.
    for (let round = 0; round < 50; round++) {
      clock.advance(10);
      say(BOOK, 7, 30 * KB, 'trainer');
    }
    expect([speakers(presence), told]).toEqual([1, 4 + 50]);
    for (const origin of ['a', 'b', 'c'])
      for (let index = 0; index < 9; index++) say(`run/${origin}${index}`, 1, 10 * KB, origin);
    expect(presence.bytes).toBeLessThanOrEqual(250 * KB);
    // Who says little is heard also when all is full: who says most makes room.
    say(BOOK, 8, 20 * KB, 'small');
    expect(speakers(presence)).toBe(2);
    expect(presence.bytes).toBeLessThanOrEqual(250 * KB);
    // Small states count, too.
    for (let index = 0; index < 2_000; index++) say(`run/s${index}`, index, 0, 'many');
    expect(presence.bytes).toBeLessThanOrEqual(250 * KB);
    for (const origin of ['loud', 'trainer', 'a', 'b', 'c', 'small', 'many']) presence.gone(origin);
    expect([...presence.snapshot()]).toEqual([]);
    // Documents that nobody speaks of again are forgotten with the next word of anybody.
    clock.advance(31_000);
    say(BOOK, 7, 0, 'trainer');
    expect(presence.bytes).toBeLessThan(KB);
  });

  it('[ROOM-9] all that is said of a document is told in updates that others take', () => {
    const clock = new FakeClock();
    const [here, there] = [new Presence(clock), new Presence(clock)];
    for (let client = 1; client <= 40; client++) here.receive(BOOK, said([client], 1, 120 * KB), `machine ${client}`);
    for (const { name, bytes } of here.snapshot()) {
      expect(bytes.length).toBeLessThan(KB * KB);
      there.receive(name, bytes, 'link');
    }
    expect(speakers(there)).toBe(40);
    expect(() =>
      there.receive(
        BOOK,
        said(
          Array.from({ length: 5_000 }, (_, id) => id),
          2,
          0,
        ),
        'x',
      ),
    ).toThrow('too many');
  });
});
