import { describe, expect, it } from 'vitest';
import type { RunState } from '../fold/state.ts';
import type { RunId } from '../ids.ts';
import { QUERY_T0, randomQuery, randomSort, randomState } from '../testing/random-queries.ts';
import { SeededRandom } from '../testing/random.ts';
import type { TableDirectory } from './directory.ts';
import { RunTable } from './table.ts';

const long =
  (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env['FIELDBOOK_LONG'] === '1';
const SEEDS = long ? 600 : 20;
const FRAME = { now: QUERY_T0 + 40 * 3_600_000 };

/** What a browser keeps of a table. */
class Kept {
  readonly parts = new Map<string, Uint8Array>();
  #directory = '';

  take(table: RunTable): void {
    for (const part of table.unpacked) {
      const bytes = table.pack(part);
      if (bytes === null) this.parts.delete(part);
      else this.parts.set(part, bytes);
    }
    this.#directory = JSON.stringify(table.directory());
  }

  open(): RunTable {
    return RunTable.sealed(JSON.parse(this.#directory) as TableDirectory);
  }

  /** As a database gives them: in buffers of their own, or somewhere in a larger one. */
  read(table: RunTable, parts: readonly string[], random: SeededRandom): void {
    for (const part of parts) {
      const bytes = this.parts.get(part)!;
      const shift = random.int(16);
      const larger = new Uint8Array(bytes.length + 16);
      larger.set(bytes, shift);
      table.unpack(part, larger.subarray(shift, shift + bytes.length));
    }
  }
}

describe('stored tables', () => {
  it('[QRY-27] answer, with all that changed since, as a table made of the final states', () => {
    let partly = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = new SeededRandom(seed);
      const states = new Map<string, RunState>();
      const kept = new Kept();
      let table = new RunTable();
      const runs = random.chance(0.05) ? 2_500 : 5 + random.int(60);
      for (let round = 0; round < 4; round++) {
        kept.read(table, table.needs(), random);
        for (let change = random.int(runs); change >= 0; change--) {
          const id = `run-${random.int(runs)}`;
          if (random.chance(0.2)) {
            states.delete(id);
            table.remove(id as RunId);
          } else {
            const state = randomState(random, id);
            states.set(id, state);
            table.upsert(state, [random.pick(['book/a/2026-01', 'book/a/2026-02'])]);
          }
        }
        if (random.chance(0.8)) {
          if (random.chance(0.5)) table.select({ ...FRAME, sort: [{ column: 'name' }] });
          kept.take(table);
          const sources = [...table.ids()].map((id) => [id, table.sources(table.row(id)!)]);
          table = kept.open();
          kept.read(table, table.needs({}), random);
          expect(
            sources.map(([id]) => [id, table.sources(table.row(id as RunId)!)]),
            `seed ${seed}`,
          ).toEqual(sources);
        }
        const fresh = RunTable.from(states.values());
        expect(table.columns(), `seed ${seed}`).toEqual(fresh.columns());
        for (let ask = 0; ask < 6; ask++) {
          const request = { ...FRAME, query: randomQuery(random), sort: randomSort(random) };
          kept.read(table, table.needs(request), random);
          if (table.needs().length > 0) partly += 1;
          const idsOf = (of: RunTable): unknown[] => [...of.select(request).rows].map((row) => of.id(row));
          expect(idsOf(table), `seed ${seed}, ${request.query}`).toEqual(idsOf(fresh));
        }
      }
      kept.read(table, table.needs(), random);
      const fresh = RunTable.from(states.values());
      expect(table.size).toBe(fresh.size);
      expect(table.tags()).toEqual(fresh.tags());
      const columns = ['id', 'name', 'status', 'notes', ...table.columns().map(({ id }) => id)];
      const cells = (of: RunTable): unknown[] =>
        of.values(of.select({ ...FRAME, sort: [{ column: 'id' }] }).rows, columns, FRAME);
      expect(cells(table), `seed ${seed}`).toEqual(cells(fresh));
      for (const column of columns) {
        const { values, ...stats } = table.stats(column, FRAME);
        const { values: expected, ...rest } = fresh.stats(column, FRAME);
        expect(stats, `seed ${seed}, ${column}`).toEqual(rest);
        const told = (of: typeof values): string[] => of.map((value) => JSON.stringify(value)).sort();
        // Of more, which of equally frequent ones are listed is open.
        if (stats.distinct <= 100) expect(told(values), `seed ${seed}, ${column}`).toEqual(told(expected));
        else expect(values.map(({ runs }) => runs)).toEqual(expected.map(({ runs }) => runs));
      }
    }
    // Not vacuous: most answers came of tables that were not whole.
    expect(partly).toBeGreaterThan(SEEDS * 6);
  });

  it('[QRY-28] that are damaged are refused with one code, whatever became of them', () => {
    const random = new SeededRandom(7);
    const table = RunTable.from(Array.from({ length: 40 }, (_, n) => randomState(random, `run-${n}`)));
    const kept = new Kept();
    kept.take(table);
    let refused = 0;
    for (const [part, bytes] of kept.parts) {
      for (let attempt = 0; attempt < 20; attempt++) {
        const damaged = random.chance(0.3) ? bytes.slice(0, random.int(bytes.length)) : bytes.slice();
        if (damaged.length === bytes.length) damaged[random.int(damaged.length)]! ^= 1 << random.int(8);
        const opened = kept.open();
        expect(() => opened.unpack(part, damaged), part).toThrow(
          expect.objectContaining({ code: 'snapshot_unreadable' }) as Error,
        );
        expect(opened.needs()).toContain(part);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(500);
    for (const directory of [null, 7, {}, { parts: [] }, { parts: [['ids', []]] }, { parts: 'ids' }])
      expect(() => RunTable.sealed(directory)).toThrow(
        expect.objectContaining({ code: 'snapshot_unreadable' }) as Error,
      );
  });

  it('[QRY-29] say what a request needs, and are not changed or asked for more before it is read', () => {
    const random = new SeededRandom(3);
    const table = RunTable.from(Array.from({ length: 40 }, (_, n) => randomState(random, `run-${n}`)));
    const kept = new Kept();
    kept.take(table);
    const opened = kept.open();
    const column = table.columns().find(({ source }) => source === 'attribute')!;
    const needed = opened.needs({ columns: [column.id] });
    expect(needed).toContain(`a:${column.path}`);
    expect(needed.length).toBeLessThan(opened.needs().length);
    expect(opened.hasAttribute(column.path)).toBe(true);
    expect(() => opened.value(0, column.id, FRAME)).toThrow(
      expect.objectContaining({ code: 'invalid_argument' }) as Error,
    );
    kept.read(opened, needed, random);
    expect(opened.value(0, column.id, FRAME)).toEqual(table.value(0, column.id, FRAME));
    expect(() => opened.upsert(randomState(random, 'run-1'))).toThrow(
      expect.objectContaining({ code: 'invalid_argument' }) as Error,
    );
  });
});
