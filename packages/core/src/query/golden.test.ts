import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { FieldbookError } from '../errors.ts';
import type { RunState } from '../fold/state.ts';
import { QUERY_T0, randomPattern, randomQuery, randomState } from '../testing/random-queries.ts';
import { SeededRandom } from '../testing/random.ts';
import { Pattern } from './pattern.ts';
import { RunTable } from './table.ts';

const FILE = new URL('../../../../tests/golden/query/v1.json', import.meta.url);
const NOW = QUERY_T0 + 40 * 3_600_000;
const ZONE = 120;

/** Queries, the runs they are asked of, and what this engine answers: the Python client must answer the same. */
interface Golden {
  now: number;
  zone: number;
  runs: unknown[];
  /** The ids that match, the newest run first. */
  found: Record<string, string[]>;
  /** Code and place, in UTF-16 code units, of what is no query. */
  refused: Record<string, { code: string; position: number; length: number }>;
  /** By pattern, with its flag behind a slash: texts in which it is found, and others. */
  patterns: Record<string, [found: string[], other: string[]]>;
}

const QUERIES = [
  '',
  'adam',
  'adam best',
  '"a b"',
  'größe',
  'GRÖSSE or 🙂',
  'lr < 1 and lr > -1',
  'lr == 0',
  'lr = -0 or lr = nan or lr = inf',
  'lr in (1, 2, "1", null, -inf)',
  'lr not in (1,2)',
  'not lr in (1,2)',
  'LR exists',
  'loss.min < 2',
  'loss.min exists',
  'm:loss.min.last missing',
  'm:loss.min missing',
  'a:loss.min exists',
  '"loss".min >= 0',
  '"a b" exists',
  'm:"a b".maxStep > 1',
  'a:status = running',
  'status:RUNNING',
  'status = finished or status in (lost, crashed)',
  'status != null',
  'created > -1d',
  'created = 2026-01-16',
  'created < 2026-01-16T05:00',
  'created >= 2026-01-16T05:00Z and created <= 2026-01-16T10:00:00.5+02:00',
  'created = today or created = yesterday',
  'created = 2026 and not created = 2026-01',
  'created <= now',
  'ended missing',
  'duration > 1h30m',
  'duration < 100',
  'duration >= 0.5h and duration <= inf',
  'writers > 1',
  'conflicted',
  'starred or trashed or archived',
  'star:true',
  'unnamed = false',
  'tags has best',
  'tags = "Best"',
  'tags:BEST',
  'tags missing',
  'tag != best',
  'tags ~ /^b.s/i',
  'name < "run 10"',
  'name >= run',
  'name > Adam and name < größe',
  'id > run-2',
  'name ~ /^run \\d{1,2}$/',
  'name !~ /a|s/i',
  'name ~ "a.\\"b"',
  'notes ~ /\\n/',
  'group ~ /\\//',
  'opt = true',
  'opt:TRUE',
  'opt = "true"',
  'opt = null',
  'opt != null',
  'opt has a',
  'has:x',
  'it has:x',
  'trained in berlin',
  'not not starred',
  'NOT (starred OR archived) AND lr EXISTS',
  'lr exists missing',
  'x.y.count > 1 or x.y > 1',
  'and.min < 1',
  'params/lr in (-1d, 2026-01-16, today)',
  'params/lr > 2026-01-16',
  `${'('.repeat(64)}lr exists${')'.repeat(64)}`,
  `${'not lr exists or '.repeat(70)}lr exists`,
  'lr <1e400 lr>-1e-400',
  'lr = .5 or lr = 5. or lr = +1',
];

const REFUSED = [
  '(',
  ')',
  'a )',
  'lr <',
  'lr < )',
  'lr in (1',
  'lr in (1 2)',
  'lr in ()',
  'and lr',
  'lr or',
  'lr and or x',
  '"open',
  '🙂 "open',
  'name ~',
  'name ~ x',
  'name ~ //',
  'name ~ /a',
  'name ~ /🙂(/',
  'name ~ /a{3,2}/',
  'name ~ /(?=a)/',
  'name ~ /\\1/',
  'name ~ /\\q/',
  'name ~ /[b-a]/',
  'name ~ /[\\d-z]/',
  'name ~ /((a{99}){99}){99}/',
  'name ~ "a**"',
  'status:done',
  'status = Running',
  'status < running',
  'created > soon',
  'created > 7d',
  'created ~ /x/',
  'created = 2026-02-30',
  'star > 3',
  'star = 1',
  'duration > soon',
  'writers = many',
  'a:x',
  'm:"loss"',
  'lr = = 1',
  'lr ! 1 <',
  `${'('.repeat(65)}lr exists${')'.repeat(65)}`,
  'not '.repeat(65),
  'x'.repeat(8_193),
];

const PATTERNS = [
  '\\bа',
  '[^\\W_]+',
  '\\ud83d\\ude42',
  '\\u{1f642}',
  '[\\b]',
  'ſ',
  'K',
  'ß',
  'İ',
  '^$',
  '\\s',
  '.',
  'a{,2}',
  'a{2}b',
  '(a|b)*c',
  '(|a)+',
  '\\x41',
  '[a-c-e]',
  '[]',
  '[^]',
];
const SAMPLES = [
  '',
  'a',
  'A',
  'b',
  'aab',
  'ab c',
  'ſ',
  's',
  'S',
  'K',
  'k',
  '\u212a',
  'ß',
  'SS',
  'ẞ',
  'i',
  'İ',
  'ı',
  'é',
  '🙂',
  'x🙂y',
  '\n',
  '\u2028',
  '\u0085',
  '\u001c',
  '\ufeff',
  '\u00a0',
  '_',
  '9',
  'а',
  'a{,2}',
  '\b',
  '-',
  'caab',
];

function runs(): RunState[] {
  const random = new SeededRandom(20_260_115);
  const states: RunState[] = [];
  for (let index = 0; index < 60; index++) {
    const state = randomState(random, `run-${index % 7 === 0 ? `é${index}` : index}`);
    if (state.known && !state.purged) states.push(state);
  }
  return states;
}

function answers(states: readonly RunState[]): Pick<Golden, 'found' | 'refused' | 'patterns'> {
  const table = RunTable.from(states);
  const random = new SeededRandom(7);
  const found: Golden['found'] = {};
  const texts = [...QUERIES, ...Array.from({ length: 300 }, () => randomQuery(random))];
  for (const query of texts) {
    const { rows } = table.select({ query, now: NOW, zone: ZONE });
    found[query] = Array.from(rows, (row) => table.id(row)!);
  }
  const refused: Golden['refused'] = {};
  for (const query of REFUSED) {
    try {
      table.select({ query, now: NOW });
    } catch (error) {
      const { code, details } = error as FieldbookError;
      refused[query] = { code, position: details['position'] as number, length: details['length'] as number };
    }
  }
  const patterns: Golden['patterns'] = {};
  const sources = [...PATTERNS, ...Array.from({ length: 80 }, () => randomPattern(random).replaceAll('\\/', '/'))];
  for (const source of sources) {
    for (const flag of ['', 'i']) {
      const pattern = new Pattern(source, flag === 'i');
      patterns[`${source}/${flag}`] = [
        SAMPLES.filter((text) => pattern.test(text)),
        SAMPLES.filter((text) => !pattern.test(text)),
      ];
    }
  }
  return { found, refused, patterns };
}

/** A run as the API shows it; numbers that JSON lacks are objects, so that no text looks like one. */
function plain(state: RunState): unknown {
  const replace = (_: string, value: unknown): unknown => {
    if (value instanceof Map) return Object.fromEntries(value);
    if (typeof value !== 'number' || (Number.isFinite(value) && !Object.is(value, -0))) return value;
    return { float: Object.is(value, -0) ? '-0' : String(value) };
  };
  const names = [
    ...(['id', 'project', 'name', 'unnamed', 'group', 'notes', 'tags', 'star', 'archived', 'trashed'] as const),
    ...(['status', 'created', 'updated', 'ended', 'user', 'host', 'attributes', 'metrics'] as const),
  ];
  const shown = Object.fromEntries(names.map((name) => [name, state[name]]));
  const conflicts = state.conflicts.map(({ field }) => field);
  const writers = state.writers.map(({ writer }) => writer);
  return JSON.parse(JSON.stringify({ ...shown, conflicts, writers }, replace));
}

describe('golden queries', () => {
  const states = runs();
  const now = { now: NOW, zone: ZONE, runs: states.map(plain), ...answers(states) };
  // FIELDBOOK_GOLDEN=write makes the file anew; a difference in it is a change of the language.
  if (process.env.FIELDBOOK_GOLDEN === 'write') writeFileSync(FILE, `${JSON.stringify(now, null, 1)}\n`);
  const golden = JSON.parse(readFileSync(FILE, 'utf8')) as Golden;

  it('[QRY-24] asks the runs of the file', () => {
    expect(now.runs).toEqual(golden.runs);
    expect([now.now, now.zone]).toEqual([golden.now, golden.zone]);
  });

  it('[QRY-24] finds what the file says that it finds', () => {
    expect(now.found).toEqual(golden.found);
    const some = Object.values(now.found).filter((ids) => ids.length > 0 && ids.length < states.length);
    expect(some.length).toBeGreaterThan(150);
  });

  it('[QRY-25] refuses what the file says that it refuses, at its place', () => {
    expect(now.refused).toEqual(golden.refused);
    expect(Object.keys(now.refused)).toEqual(REFUSED);
  });

  it('[QRY-26] matches what the file says that it matches', () => expect(now.patterns).toEqual(golden.patterns));
});
