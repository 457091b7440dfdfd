import { describe, expect, it } from 'vitest';
import { FieldbookError } from '../errors.ts';
import { foldRun } from '../fold/run.ts';
import type { RunState } from '../fold/state.ts';
import type { AttributePath, ProjectId, RunId } from '../ids.ts';
import type { AttributeValue, MetricSummary } from '../record/index.ts';
import { naiveSelect } from '../testing/naive-query.ts';
import { SeededRandom } from '../testing/random.ts';
import { makeCard, randomCard, randomNumber } from '../testing/records.ts';
import type { Query } from './ast.ts';
import { completions } from './complete.ts';
import { periodOf } from './literal.ts';
import { parseQuery, tokens } from './parse.ts';
import { Pattern } from './pattern.ts';
import { printQuery } from './print.ts';
import type { SortKey } from './sort.ts';
import { RunTable } from './table.ts';

// Types of Node are not among those of core: this is read only where there is a process.
const long =
  (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env['FIELDBOOK_LONG'] === '1';
const SEEDS = long ? 3_000 : 150;
const T0 = 1_768_478_400_000;

const PATHS = ['lr', 'loss', 'loss.min', 'params/lr', 'status', 'a b', 'größe', 'x.y', 'and', 'opt'];
const TEXTS = [
  'adam',
  'Adam',
  'sgd',
  'run 9',
  'run 10',
  'RUN 010',
  '1',
  '10',
  'true',
  'null',
  '',
  'größe',
  'a"b\\',
  '2026-01-15',
  '🙂 x',
];
const TAGS = ['baseline', 'Best', 'best', 'a b', '1'];

function randomState(random: SeededRandom, id: string): RunState {
  const attributes = new Map<AttributePath, AttributeValue>();
  const metrics = new Map<AttributePath, MetricSummary>();
  for (const path of PATHS) {
    if (random.chance(0.5)) {
      const kinds: (() => AttributeValue)[] = [
        () => randomNumber(random),
        () => random.int(4),
        () => random.pick(TEXTS),
        () => random.chance(0.5),
        () => null,
        () => ({ time: T0 + random.int(100) * 3_600_000 }),
        () => [random.pick(TAGS), ...(random.chance(0.5) ? [random.pick(TEXTS)] : [])],
      ];
      // Most paths hold one kind, some hold all.
      attributes.set(
        path as AttributePath,
        kinds[path.length % 3 === 0 ? random.int(kinds.length) : path.length % kinds.length]!(),
      );
    }
    if (random.chance(0.3)) {
      const number = (): number => (random.chance(0.5) ? random.int(4) : randomNumber(random));
      metrics.set(path as AttributePath, {
        count: random.int(5),
        last: number(),
        lastStep: random.int(5),
        min: number(),
        minStep: random.int(5),
        max: number(),
        maxStep: random.int(5) + 0.5,
        nonFinite: random.int(2),
      });
    }
  }
  const card = randomCard(random, {
    run: id as RunId,
    project: 'mnist' as ProjectId,
    name: random.chance(0.7) ? random.pick(TEXTS) : null,
    group: random.chance(0.5) ? random.pick(TEXTS) : null,
    notes: random.chance(0.3) ? `${random.pick(TEXTS)}\n${random.pick(TEXTS)}` : null,
    tags: TAGS.filter(() => random.chance(0.3)),
    created: T0 + random.int(50) * 3_600_000,
    attributes,
    metrics,
  });
  const cards = random.chance(0.2)
    ? [card, makeCard({ run: card.run, writer: '01kf0000000000000000000001' as typeof card.writer })]
    : [card];
  const state = foldRun(card.run, card.project, cards, []);
  const some = (): boolean => random.chance(0.2);
  return {
    ...state,
    star: some(),
    archived: some(),
    trashed: some(),
    purged: random.chance(0.03),
    known: !random.chance(0.03),
  };
}

const QUOTE = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

function randomPathText(random: SeededRandom): string {
  const path = random.pick(PATHS);
  const suffix = random.chance(0.3)
    ? `.${random.pick(['last', 'min', 'max', 'count', 'step', 'maxStep', 'nonFinite', 'odd'])}`
    : '';
  const prefix = random.chance(0.3) ? random.pick(['a:', 'm:']) : '';
  const bare = /^[^\s]+$/.test(path) && path !== 'and' && (prefix !== '' || path !== 'status');
  return prefix + (bare && random.chance(0.7) ? path + suffix : QUOTE(path) + suffix);
}

function randomValue(random: SeededRandom): string {
  const bare = [
    '0',
    '1',
    '2',
    '10',
    '-0',
    '1e3',
    'nan',
    'inf',
    '-inf',
    'true',
    'false',
    'null',
    'adam',
    'Adam',
    'best',
    '-1d',
    '2026-01-15',
    '2026-01-16T05:00',
    '2026',
    'today',
  ];
  return random.chance(0.7) ? random.pick(bare) : QUOTE(random.pick([...TEXTS, ...TAGS]));
}

function randomPattern(random: SeededRandom): string {
  const part = (depth: number): string =>
    random.pick<() => string>([
      () => random.pick(['a', 'd', 'm', '1', '0', ' ', 's', 'R', 'ö', '\\/', '"']),
      () =>
        random.pick([
          '.',
          '\\d',
          '\\w',
          '\\s',
          '\\D',
          '\\W',
          '[a-m]',
          '[^a-m]',
          '[\\d_]',
          '[A-Z]',
          '^',
          '$',
          '\\b',
          '\\B',
        ]),
      () => (depth > 2 ? 'x' : `(${part(depth + 1)}|${part(depth + 1)})`),
      () =>
        depth > 2
          ? 'y'
          : `(?:${part(depth + 1)}${part(depth + 1)})${random.pick(['', '*', '+', '?', '{1,2}', '{2}', '*?'])}`,
    ])();
  return Array.from({ length: 1 + random.int(4) }, () => part(0)).join('');
}

function randomTest(random: SeededRandom): string {
  const fields: (() => string)[] = [
    () => `status${random.pick([' = ', ' != ', ':'])}${random.pick(['running', 'finished', 'lost'])}`,
    () =>
      `${random.pick(['created', 'updated', 'ended'])} ${random.pick(['<', '<=', '>', '>=', '=', '!='])} ${random.pick(['-1d', '2026-01-16', '2026-01', 'today', '2026-01-15T12:00:00Z'])}`,
    () => `duration ${random.pick(['<', '<=', '>', '>='])} ${random.pick(['1h', '100', '30m'])}`,
    () =>
      random.pick([
        'starred',
        'archived',
        'trashed',
        'unnamed',
        'star:true',
        'trashed = false',
        'conflicted',
        'writers > 1',
      ]),
    () => `tags ${random.pick(['has', '=', '!='])} ${QUOTE(random.pick(TAGS))}`,
    () => `tags:${random.pick(['best', 'BASELINE'])}`,
    () =>
      `${random.pick(['name', 'notes', 'group', 'id', 'tags'])} ${random.pick(['~', '!~'])} /${randomPattern(random)}/${random.pick(['', 'i'])}`,
    () =>
      `${random.pick(['name', 'group', 'id'])} ${random.pick(['<', '>=', '=', 'has', '!='])} ${QUOTE(random.pick(TEXTS))}`,
    () => random.pick(['adam', 'run', '"run 1"', 'BEST', '"🙂"', '1']),
  ];
  const data: (() => string)[] = [
    () => `${randomPathText(random)} ${random.pick(['=', '!=', '<', '<=', '>', '>=', 'has'])} ${randomValue(random)}`,
    () => `${randomPathText(random)} ${random.pick(['exists', 'missing'])}`,
    () => `${randomPathText(random)} ${random.pick(['in', 'not in'])} (${randomValue(random)}, ${randomValue(random)})`,
    () => `${randomPathText(random)}:${randomValue(random)}`,
    () => `${randomPathText(random)} ${random.pick(['~', '!~'])} /${randomPattern(random)}/`,
  ];
  return random.pick(random.chance(0.4) ? fields : data)();
}

function randomQuery(random: SeededRandom, depth = 0): string {
  const shape = depth > 3 ? 0 : random.int(8);
  if (shape < 4) return randomTest(random);
  if (shape === 4) return `not ${randomQuery(random, depth + 1)}`;
  if (shape === 5) return `(${randomQuery(random, depth + 1)})`;
  return `${randomQuery(random, depth + 1)} ${random.pick(['and', 'or', 'or', ''])} ${randomQuery(random, depth + 1)}`;
}

function randomSort(random: SeededRandom): SortKey[] {
  const column = (): string =>
    random.pick([
      ...PATHS,
      'a:status',
      'm:loss.min',
      'name',
      'group',
      'duration',
      'created',
      'ended',
      'tags',
      'star',
      'notes',
      'id',
      'writers',
      'loss.count',
    ]);
  return Array.from({ length: 1 + random.int(3) }, () => ({ column: column(), descending: random.chance(0.5) }));
}

/** A query's tree without places. */
function bones(query: Query): string {
  return JSON.stringify(query.root, (key, value: unknown) => (key === 'start' || key === 'end' ? undefined : value));
}

describe('queries over random runs', () => {
  it('[QRY-18] finds and orders what a plain evaluation of the same words does, after any changes', () => {
    const frame = { now: T0 + 40 * 3_600_000 };
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
    const schema = RunTable.from([randomState(new SeededRandom(7), 'run-1')]).schema({ now: T0 });
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
