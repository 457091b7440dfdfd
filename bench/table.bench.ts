import { foldRun } from '@fieldbook/core/fold';
import type { RunState } from '@fieldbook/core/fold';
import type { AttributePath, ProjectId, RunId } from '@fieldbook/core';
import { decodeCard, encodeCard } from '@fieldbook/core/record';
import type { AttributeValue, Card, MetricSummary } from '@fieldbook/core/record';
import { RunTable } from '@fieldbook/core/query';
import { makeCard, SeededRandom } from '@fieldbook/core/testing';
import { collectGarbage, fitExponent, interleave, medianOf, medianRow, repeatsFor, row, timed } from './harness.ts';
import type { Bench, Row } from './harness.ts';

const T0 = 1_768_478_400_000;
const NOW = T0 + 90 * 86_400_000;
const QUERY = 'status:finished and params/lr < 0.01 and tags has "baseline" and val/loss.min < 0.5 and name ~ /res.*/';
const HALF = 'val/loss.min < 0.5';
const PARAMS = 20;
const METRICS = 20;
const ID_DIGITS = 7;
const SLICE = 500;

/** Encoded cards of runs with 20 parameters and 20 metrics each, as books hold them. */
function makeCards(count: number): Uint8Array[] {
  const random = new SeededRandom(20260115);
  const models = ['resnet', 'vgg', 'vit', 'convnext'];
  const metrics = [
    'val/loss',
    'val/acc',
    ...Array.from({ length: METRICS - 2 }, (_, index) => `train/metric_${index}`),
  ];
  return Array.from({ length: count }, (_, index) => {
    const attributes = new Map<AttributePath, AttributeValue>([
      ['params/lr' as AttributePath, 10 ** -(1 + 4 * random.float())],
      ['params/batch' as AttributePath, 2 ** (4 + random.int(6))],
      ['params/optimizer' as AttributePath, random.pick(['adam', 'sgd', 'lion'])],
      ['params/amp' as AttributePath, random.chance(0.5)],
      ['data/train' as AttributePath, `imagenet-${random.int(5)}`],
    ]);
    for (let param = attributes.size; param < PARAMS; param++) {
      attributes.set(`params/p${param}` as AttributePath, param % 3 === 0 ? random.float() : random.int(100));
    }
    const summaries = new Map<AttributePath, MetricSummary>();
    for (const path of metrics) {
      const [last, min, max] = [random.float(), random.float(), 1 + random.float()];
      const lastStep = 1_000 + random.int(1_000);
      summaries.set(path as AttributePath, {
        count: lastStep,
        last,
        lastStep,
        min,
        minStep: random.int(lastStep),
        max,
        maxStep: random.int(lastStep),
        nonFinite: 0,
      });
    }
    return encodeCard(
      makeCard({
        run: `run-${String(index).padStart(ID_DIGITS, '0')}` as RunId,
        created: T0 + random.int(80 * 86_400_000),
        updated: T0 + 81 * 86_400_000,
        ended: T0 + 81 * 86_400_000,
        status: random.pick(['finished', 'finished', 'failed', 'crashed']),
        name: `${random.pick(models)}-${index}`,
        tags: random.chance(0.5) ? ['baseline'] : ['ablation'],
        user: random.pick(['ada', 'grace', 'edsger']),
        host: `gpu-${random.int(16)}`,
        attributes,
        metrics: summaries,
      }),
    );
  });
}

function* statesOf(cards: readonly Uint8Array[]): Iterable<RunState> {
  for (const bytes of cards) {
    const card: Card = decodeCard(bytes)!;
    yield foldRun(card.run, 'mnist' as ProjectId, [card], []);
  }
}

/** Milliseconds of putting folded states into a table. States come in slices, as they do to a worker: nobody holds all of them. */
async function buildTime(cards: readonly Uint8Array[]): Promise<number> {
  const table = new RunTable();
  let total = 0;
  for (let from = 0; from < cards.length; from += SLICE) {
    const states = [...statesOf(cards.slice(from, from + SLICE))];
    total += await timed(() => states.forEach((state) => table.upsert(state)));
  }
  return total;
}

/** Rows below a bound, sorted: one typed array, one loop, one native sort. What no table can beat. */
function floor(values: Float64Array): number {
  const found = new Float64Array(values.length);
  let count = 0;
  for (let index = 0; index < values.length; index++) if (values[index]! < 0.5) found[count++] = values[index]!;
  return found.subarray(0, count).sort().length;
}

function heldBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Filter, sort and build of runs in core's query engine. */
async function measureCore(smoke: boolean): Promise<Row[]> {
  const rows: Row[] = [];
  const sizes = smoke ? [100, 200, 400] : [1_000, 10_000, 100_000];
  const costs: [number, number][] = [];
  for (const size of sizes) {
    const cards = makeCards(size);
    const name = `${size} runs, ${PARAMS + METRICS} attributes`;
    let table = new RunTable();
    const select = (query: string, column: string) =>
      table.select({ query, sort: [{ column, descending: true }], now: NOW }).total;
    const values = Float64Array.from(cards, () => 0);
    const random = new SeededRandom(1);
    for (let index = 0; index < size; index++) values[index] = random.float();
    const before = heldBytes();
    table = RunTable.from(statesOf(cards));
    const held = (heldBytes() - before) / 1e6;
    const built = await interleave(
      {
        build: () => buildTime(cards),
        decode: () => timed(() => [...statesOf(cards)].length),
      },
      repeatsFor(smoke),
    );
    const firstName = await timed(() => select('', 'name'));
    const measured = await interleave(
      {
        narrow: () => timed(() => select(QUERY, 'val/acc.max')),
        half: () => timed(() => select(HALF, 'val/acc.max')),
        keys: () =>
          timed(() =>
            table.select({
              query: HALF,
              sort: [{ column: 'params/optimizer' }, { column: 'name' }, { column: 'created' }],
              now: NOW,
            }),
          ),
        word: () => timed(() => select('resnet', 'created')),
        group: () =>
          timed(() =>
            table.group({
              by: ['params/optimizer', 'params/batch'],
              aggregates: [{ column: 'val/acc.max', goal: 'max' }],
              now: NOW,
            }),
          ),
        columns: () => timed(() => table.columns()),
        floor: () => timed(() => floor(values)),
      },
      repeatsFor(smoke, 15),
    );
    costs.push([size, medianOf(measured.half)]);
    const system = 'fieldbook';
    rows.push(
      medianRow(measured.narrow, { system, case: `${name}: five tests, one sort key`, figure: 'filter_sort_ms' }),
      medianRow(measured.half, { system, case: `${name}: half match, one sort key`, figure: 'filter_sort_ms' }),
      medianRow(measured.floor, {
        system: 'floor: one Float64Array filtered and sorted',
        case: `${name}: half match, one sort key`,
        figure: 'filter_sort_ms',
      }),
      medianRow(measured.keys, { system, case: `${name}: half match, three sort keys`, figure: 'filter_sort_ms' }),
      medianRow(measured.word, { system, case: `${name}: one free word`, figure: 'filter_sort_ms' }),
      row({
        system,
        case: `${name}: first sort by name`,
        figure: 'filter_sort_ms',
        value: firstName,
        note: 'once per table',
      }),
      medianRow(measured.group, { system, case: `${name}: two columns, one aggregate`, figure: 'group_ms' }),
      medianRow(measured.columns, { system, case: name, figure: 'columns_ms' }),
      medianRow(built.build, { system, case: `${name}: from folded states`, figure: 'build_ms' }),
      medianRow(built.decode, {
        system: 'floor: decode and fold of the same cards',
        case: `${name}: from folded states`,
        figure: 'build_ms',
      }),
      row({ system, case: name, figure: 'held_mb', value: held, note: 'heap and typed arrays' }),
    );
  }
  rows.push(
    row({
      system: 'fieldbook',
      case: 'half match, one sort key',
      figure: 'filter_sort_exponent',
      value: fitExponent(costs),
    }),
  );
  return rows;
}

const bench: Bench = {
  name: 'table',
  about: 'Filter, sort and group runs of 40 attributes in the query engine.',
  needs: ['core'],
  run: ({ smoke }) => measureCore(smoke),
};
export default bench;
