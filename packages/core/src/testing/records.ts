import type { Hlc } from '../hlc.ts';
import { makeHlc } from '../hlc.ts';
import type { AttributePath, DeviceId, EditId, ProjectId, RunId, WriterId } from '../ids.ts';
import { base32 } from '../ids.ts';
import type { AttributeValue, Card, Edit, MetricSummary } from '../record/index.ts';
import { RUN_STATUSES } from '../record/index.ts';
import { SeededRandom } from './random.ts';

const T0 = 1_768_478_400_000;

/** A card with everything that a record needs; tests override what they are about. */
export function makeCard(override: Partial<Card> = {}): Card {
  return {
    run: 'run-1' as RunId,
    writer: '01kf0000000000000000000000' as WriterId,
    device: 'd000000000000000000000000' as DeviceId,
    project: 'mnist' as ProjectId,
    ordinal: 1,
    created: T0,
    updated: T0 + 1_000,
    ended: null,
    status: 'running',
    name: null,
    group: null,
    notes: null,
    tags: [],
    user: null,
    host: null,
    attributes: new Map(),
    metrics: new Map(),
    role: null,
    removed: [],
    extra: {},
    ...override,
  };
}

let edits = 0;

/** An edit of run-1 with a fresh id and a rising clock; tests override what they are about. */
export function makeTestEdit(override: Partial<Edit> = {}): Edit {
  edits += 1;
  return {
    id: testEditId(edits),
    run: 'run-1' as RunId,
    field: 'name',
    op: 'set',
    path: null,
    value: `name ${edits}`,
    base: [],
    by: 'ada',
    device: 'd000000000000000000000000' as DeviceId,
    at: makeHlc(T0 + edits, 0),
    signature: null,
    extra: {},
    ...override,
  };
}

/** The nth of an endless list of well-formed edit ids. */
export function testEditId(n: number): EditId {
  return `01kf${String(n).padStart(22, '0')}` as EditId;
}

export function testDevice(random: SeededRandom): DeviceId {
  return `d${base32(random.bytes(15))}` as DeviceId;
}

/** A random card within all limits, numbers of every kind included. */
export function randomCard(random: SeededRandom, override: Partial<Card> = {}): Card {
  const attributes = new Map<AttributePath, AttributeValue>();
  for (let index = random.int(8); index > 0; index--) attributes.set(randomPath(random), randomAttribute(random));
  const metrics = new Map<AttributePath, MetricSummary>();
  for (let index = random.int(8); index > 0; index--) metrics.set(randomPath(random), randomMetric(random));
  const status = random.pick(RUN_STATUSES);
  const created = T0 + random.int(1_000_000);
  // Of its own, so that golden files that were made with a seed stay as they are when a field is added.
  const rest = new SeededRandom(created);
  return makeCard({
    ordinal: random.int(1_000_000),
    created,
    updated: created + random.int(1_000_000),
    ended: status === 'running' ? null : created + random.int(1_000_000),
    status,
    name: random.chance(0.5) ? randomText(random) : null,
    group: random.chance(0.3) ? randomText(random) : null,
    notes: random.chance(0.2) ? randomText(random) : null,
    tags: Array.from({ length: random.int(4) }, () => random.pick(['baseline', 'best', 'ablation', 'größer', '🙂'])),
    user: random.chance(0.7) ? 'ada' : null,
    host: random.chance(0.7) ? 'gpu-1' : null,
    attributes,
    metrics,
    role: rest.chance(0.2) ? 'system' : null,
    removed: Array.from({ length: rest.chance(0.3) ? 1 + rest.int(3) : 0 }, () => randomPath(rest)),
    ...override,
  });
}

export function randomPath(random: SeededRandom): AttributePath {
  const parts = ['params', 'train', 'val', 'loss', 'acc', 'lr', 'größe', 'a b', 'x.y', '🙂', '🙃'];
  return Array.from({ length: 1 + random.int(3) }, () => random.pick(parts)).join('/') as AttributePath;
}

export function randomNumber(random: SeededRandom): number {
  return random.pick([
    () => 0,
    () => -0,
    () => Number.NaN,
    () => Infinity,
    () => -Infinity,
    () => random.int(1000) - 500,
    () => random.float(),
    () => Math.fround(random.float()),
    () => random.float() * 1e300,
    () => 2 ** 53 - 1,
    () => 5e-324,
  ])();
}

function randomAttribute(random: SeededRandom): AttributeValue {
  return random.pick<() => AttributeValue>([
    () => randomNumber(random),
    () => randomText(random),
    () => random.chance(0.5),
    () => null,
    () => ({ time: T0 + random.int(1000) }),
    () => ['a', randomText(random)],
  ])();
}

function randomMetric(random: SeededRandom): MetricSummary {
  const last = randomNumber(random);
  const lastStep = random.int(10_000);
  const [min, max] = random.chance(0.5) ? [last, last] : [randomNumber(random), randomNumber(random)];
  return {
    count: random.int(100_000),
    last,
    lastStep,
    min,
    minStep: random.chance(0.5) ? lastStep : random.int(10_000),
    max,
    maxStep: random.chance(0.5) ? lastStep : random.int(10_000) + 0.5,
    nonFinite: random.chance(0.3) ? random.int(10) : 0,
  };
}

export function randomText(random: SeededRandom): string {
  return Array.from({ length: 1 + random.int(12) }, () => random.pick([...'abc XYZ019_/äß漢🙂"\\\uFEFF'])).join('');
}

export function testHlc(ms: number, counter = 0): Hlc {
  return makeHlc(T0 + ms, counter);
}
