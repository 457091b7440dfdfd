import { describe, expect, it } from 'vitest';
import { FieldbookError } from '../errors.ts';
import type { RunState } from '../fold/state.ts';
import type { RunId } from '../ids.ts';
import { naiveSelect } from '../testing/naive-query.ts';
import { QUERY_T0, randomPattern, randomQuery, randomSort, randomState } from '../testing/random-queries.ts';
import { SeededRandom } from '../testing/random.ts';
import type { Query } from './ast.ts';
import { completions } from './complete.ts';
import { periodOf } from './literal.ts';
import { parseQuery, tokens } from './parse.ts';
import { Pattern } from './pattern.ts';
import { printQuery } from './print.ts';
import { RunTable } from './table.ts';

// Types of Node are not among those of core: this is read only where there is a process.
const long =
  (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env['FIELDBOOK_LONG'] === '1';
const SEEDS = long ? 3_000 : 150;
/** A query's tree without places. */
function bones(query: Query): string {
  return JSON.stringify(query.root, (key, value: unknown) => (key === 'start' || key === 'end' ? undefined : value));
}

describe('queries over random runs', () => {
  it('[QRY-18] finds and orders what a plain evaluation of the same words does, after any changes', () => {
    const frame = { now: QUERY_T0 + 40 * 3_600_000 };
    const naive = { ...frame, period: (literal: Parameters<typeof periodOf>[0]) => periodOf(literal, frame) };
    let some = 0;
    let all = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = new SeededRandom(seed);
      const states = new Map<string, RunState>();
      const table = new RunTable();
      const runs = random.chance(0.05) ? 2_500 : 5 + random.int(60);
      for (let round = 0; round < 3; round++) {
        for (let change = 0; change < runs; change++) {
          const id = `run-${random.int(runs)}`;
          if (random.chance(0.15)) {
            states.delete(id);
            table.remove(id as RunId);
          } else {
            const state = randomState(random, id);
            states.set(id, state);
            table.upsert(state);
          }
        }
        for (let ask = 0; ask < 8; ask++) {
          const text = randomQuery(random);
          const sort = randomSort(random);
          const query = parseQuery(text);
          const expected = naiveSelect([...states.values()], query.root, sort, naive).map(({ id }) => id);
          const found = [...table.select({ ...frame, query, sort }).rows].map((row) => table.id(row));
          expect(found, `seed ${seed}, ${text}, ${JSON.stringify(sort)}`).toEqual(expected);
          all += 1;
          if (found.length > 0 && found.length < table.size) some += 1;
        }
      }
    }
    // Not vacuous: most queries find some runs and not all of them.
    expect(some / all).toBeGreaterThan(0.4);
  });

  it('[QRY-5] prints every query so that it reads back', () => {
    for (let seed = 1; seed <= SEEDS * 10; seed++) {
      const text = randomQuery(new SeededRandom(seed));
      const query = parseQuery(text);
      const printed = printQuery(query);
      expect(bones(parseQuery(printed)), `seed ${seed}: ${text} as ${printed}`).toBe(bones(query));
      expect(printQuery(parseQuery(printed))).toBe(printed);
    }
  });

  it('[QRY-2] throws nothing but what says where, on any text', () => {
    const pieces = [
      ...' ()"\'<>=!~:/,\\.+-*[]{}^$|ab1é🙂\u0000\ud800\n',
      'and',
      'or',
      'not',
      'in',
      'has',
      'exists',
      'missing',
      'a:',
      'm:',
      'status',
      'created',
      '-7d',
      '!=',
      '!~',
      '<=',
      '/x/i',
      '"q"',
      'name ~ /',
      'x in (',
    ];
    const schema = RunTable.from([randomState(new SeededRandom(7), 'run-1')]).schema({ now: QUERY_T0 });
    let read = 0;
    for (let seed = 1; seed <= SEEDS * 40; seed++) {
      const random = new SeededRandom(seed);
      const text = Array.from(
        { length: 1 + random.int(14) },
        () => random.pick(pieces) + (random.chance(0.3) ? ' ' : ''),
      ).join('');
      let query: Query | undefined;
      try {
        query = parseQuery(text);
        read += 1;
      } catch (error) {
        expect(error, text).toBeInstanceOf(FieldbookError);
        const { code, details } = error as FieldbookError;
        expect(['query_syntax', 'query_type'], text).toContain(code);
        const { position, length } = details as { position: number; length: number };
        expect(position >= 0 && length >= 0 && position + length <= text.length, `${text}: ${position}+${length}`).toBe(
          true,
        );
      }
      if (query !== undefined) expect(bones(parseQuery(printQuery(query))), text).toBe(bones(query));
      let end = 0;
      for (const token of tokens(text)) {
        expect(token.start >= end && token.end > token.start && token.end <= text.length, `tokens of ${text}`).toBe(
          true,
        );
        end = token.end;
      }
      for (const offer of completions(text, random.int(text.length + 1), schema)) {
        expect(offer.start <= offer.end && offer.end <= text.length, text).toBe(true);
      }
    }
    expect(read).toBeGreaterThan(SEEDS);
  });

  it('[QRY-19] matches what the engine of the language matches, for every pattern of both', () => {
    for (let seed = 1; seed <= SEEDS * 40; seed++) {
      const random = new SeededRandom(seed);
      const source = randomPattern(random).replaceAll('\\/', '/');
      const ignoreCase = random.chance(0.3);
      const native = new RegExp(source, ignoreCase ? 'iu' : 'u');
      const pattern = new Pattern(source, ignoreCase);
      for (let count = 0; count < 5; count++) {
        // V8 finds \B between the halves of a surrogate pair, where no character ends.
        const characters = [...`admsR10 _xyö/"\n${source.includes('\\B') ? '' : '🙂'}`];
        const text = Array.from({ length: random.int(9) }, () => random.pick(characters)).join('');
        expect(pattern.test(text), `seed ${seed}: /${source}/${ignoreCase ? 'i' : ''} on ${JSON.stringify(text)}`).toBe(
          native.test(text),
        );
      }
    }
  });
});
