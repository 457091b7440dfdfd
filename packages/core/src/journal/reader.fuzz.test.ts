import { describe, expect, it } from 'vitest';
import type { WriterId } from '../ids.ts';
import { SeededRandom } from '../testing/index.ts';
import { JOURNAL } from './format.ts';
import { JournalReader } from './reader.ts';
import { salvage } from './salvage.ts';
import { JournalWriter } from './writer.ts';

const WRITER = '01kaq5r0000123456789abcdef' as WriterId;
const ROUNDS = 2_000;

function journal(random: SeededRandom): Uint8Array {
  const writer = new JournalWriter({ writer: WRITER, nonce: random.bytes(16), first: random.int(1000) });
  writer.json('META', { run: 'r' });
  writer.declare([
    [0, 'a'],
    [1, 'b'],
  ]);
  for (let index = random.int(40); index > 0; index--) {
    const kind = random.int(10);
    if (kind === 0) writer.raw(random.int(256), random.bytes(random.int(64)));
    else if (kind === 1) writer.json('ATTRS', { set: { x: random.int(9) } });
    else writer.scalars(random.int(1e6), random.int(100), [random.int(3), 1], [random.float(), NaN]);
  }
  return writer.bytes();
}

/** Every record as text, and points. */
function take(bytes: Uint8Array, random: SeededRandom): { seen: Map<number, string>; reader: JournalReader } {
  const reader = new JournalReader();
  const seen = new Map<number, string>();
  const note = (ordinal: number, text: string): void => {
    seen.set(ordinal, (seen.get(ordinal) ?? '') + text);
  };
  const sink = {
    point: (...point: number[]) => note(point[4]!, point.join()),
    record: (record: { sequence: number }) => note(record.sequence, JSON.stringify(record)),
  };
  while (reader.next < bytes.length && reader.state !== 'corrupt') {
    reader.push(bytes.slice(reader.next, reader.next + 1 + random.int(200)), sink);
    expect(reader.offset).toBeLessThanOrEqual(reader.next);
    expect(reader.next).toBeLessThanOrEqual(bytes.length);
  }
  return { seen, reader };
}

describe('[JRN-9] hostile journals', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`damage never invents a record and never throws (seed ${seed})`, () => {
      const random = new SeededRandom(seed);
      let damaged = 0;
      let salvaged = 0;
      for (let round = 0; round < ROUNDS / 4; round++) {
        const good = journal(random);
        const truth = take(good, random).seen;
        const bytes = good.slice(0, random.chance(0.3) ? random.int(good.length) : good.length);
        for (let flips = random.int(4); flips > 0 && bytes.length > 0; flips--) {
          const at = random.int(bytes.length);
          if (random.chance(0.2)) bytes.fill(random.int(2) * 255, at, at + random.int(300));
          else bytes[at]! ^= 1 << random.int(8);
        }
        const { seen, reader } = take(bytes, random);
        // Equal to the original in everything that came through; the writer's bytes are the only source.
        for (const [ordinal, text] of seen) expect(text).toBe(truth.get(ordinal));
        reader.finish();
        if (reader.state !== 'corrupt' || reader.header === undefined) continue;
        damaged++;
        const { offset, sequence, header } = reader;
        const found = salvage(bytes.subarray(offset), { offset, sequence, nonce: header.nonce });
        if (found === undefined) continue;
        salvaged++;
        expect(truth.has(found.sequence)).toBe(true);
        expect(found.offset).toBeGreaterThan(offset);
      }
      // Not vacuous: the schedule does damage files, and some of it can be salvaged.
      expect(damaged).toBeGreaterThan(50);
      expect(salvaged).toBeGreaterThan(20);
    });
  }

  it('random bytes are refused or waited for, never believed', () => {
    const random = new SeededRandom(99);
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = random.bytes(random.int(400));
      if (random.chance(0.7)) bytes.set(journal(random).subarray(0, JOURNAL.headerBytes).subarray(0, bytes.length));
      const { seen, reader } = take(bytes, random);
      expect(seen.size).toBe(0);
      expect(['torn', 'zeros', 'corrupt', 'clean']).toContain(reader.finish().state);
    }
  });

  it('a tail of zeros of any size is not kept in memory', () => {
    const random = new SeededRandom(5);
    const reader = new JournalReader();
    const sink = { point: () => {}, record: () => {} };
    const good = journal(random);
    reader.push(good, sink);
    for (let round = 0; round < 64; round++) expect(reader.push(new Uint8Array(1 << 20), sink)).toBe('zeros');
    expect(reader.next).toBe(good.length + 64 * (1 << 20));
    expect(reader.push(Uint8Array.of(1), sink)).toBe('corrupt');
  });
});
