import { foldRun } from '../fold/run.ts';
import type { RunState } from '../fold/state.ts';
import type { AttributePath, ProjectId, RunId } from '../ids.ts';
import type { SortKey } from '../query/index.ts';
import type { AttributeValue, MetricSummary } from '../record/index.ts';
import type { SeededRandom } from './random.ts';
import { makeCard, randomCard, randomNumber } from './records.ts';

/** Random runs and queries about them, with the values that are easy to get wrong. */

/** 2026-01-15T12:00:00Z: when the first random run may have begun. */
export const QUERY_T0 = 1_768_478_400_000;

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

export function randomState(random: SeededRandom, id: string): RunState {
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
        () => ({ time: QUERY_T0 + random.int(100) * 3_600_000 }),
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
    created: QUERY_T0 + random.int(50) * 3_600_000,
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

export function randomPattern(random: SeededRandom): string {
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

export function randomQuery(random: SeededRandom, depth = 0): string {
  const shape = depth > 3 ? 0 : random.int(8);
  if (shape < 4) return randomTest(random);
  if (shape === 4) return `not ${randomQuery(random, depth + 1)}`;
  if (shape === 5) return `(${randomQuery(random, depth + 1)})`;
  return `${randomQuery(random, depth + 1)} ${random.pick(['and', 'or', 'or', ''])} ${randomQuery(random, depth + 1)}`;
}

export function randomSort(random: SeededRandom): SortKey[] {
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
