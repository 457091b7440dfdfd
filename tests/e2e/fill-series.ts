import { createHash } from 'node:crypto';
import type { AttributePath, DeviceId, ProjectId, RunId, WriterId } from '@fieldbook/core';
import { base32, mintId, monthOf } from '@fieldbook/core';
import { Book, RunDocument, Workspace } from '@fieldbook/core/documents';
import type { AttributeValue, Card, MetricSummary, SegmentEntry } from '@fieldbook/core/record';
import { PointBuffer, sealSegment } from '@fieldbook/core/series';
import { SeededRandom } from '@fieldbook/core/testing';
import type * as Y from 'yjs';
import { pageCompressor } from '../../packages/node-agent/src/machine/ports.ts';
import { room } from './fill.ts';

/** As an agent seals a backlog. */
const PIECE = 500_000;
/** A step takes so long. */
const STEP_MS = 40;

export interface FilledRun {
  run: string;
  metrics: Readonly<Record<string, (step: number) => number>>;
  points: number;
  attributes?: Readonly<Record<string, AttributeValue>>;
}

/**
 * Puts finished runs with their points into an agent or relay, as another machine of the workspace would: segments as blobs, manifests and
 * cards through the rooms. For series of a length that no script logs within a test.
 */
export async function fillSeries(
  url: string,
  token: string,
  { project, runs, newest, seed = 1 }: { project: string; runs: readonly FilledRun[]; newest: number; seed?: number },
): Promise<void> {
  const random = new SeededRandom(seed);
  const device = `d${base32(random.bytes(15))}` as DeviceId;
  const month = monthOf(newest);
  const book = `book/${project}/${month}`;
  await write(
    url,
    token,
    'workspace',
    (doc) => void new Workspace(doc).ensureBook(project as ProjectId, month, project, newest),
  );
  const cards: Card[] = [];
  for (const [place, filled] of runs.entries()) {
    const writer = mintId({ now: () => newest }, random) as WriterId;
    const created = newest - place;
    const entries: SegmentEntry[] = [];
    for (let first = 0; first < filled.points; first += PIECE)
      entries.push(
        await seal(url, token, filled, { writer, device, created, first, end: Math.min(filled.points, first + PIECE) }),
      );
    await write(url, token, `run/${filled.run}`, (doc) => {
      for (const entry of entries) new RunDocument(doc).putSegment(entry);
    });
    cards.push(cardOf(filled, { project: project as ProjectId, writer, device, created }));
  }
  await write(url, token, book, (doc) => cards.forEach((card) => new Book(doc).putCard(card)));
}

/** One change of one document, acknowledged. */
async function write(url: string, token: string, name: string, change: (doc: Y.Doc) => void): Promise<void> {
  await using document = await room(url, token, name);
  await document.change(change);
}

async function seal(
  url: string,
  token: string,
  { run, metrics }: FilledRun,
  {
    writer,
    device,
    created,
    first,
    end,
  }: { writer: WriterId; device: DeviceId; created: number; first: number; end: number },
): Promise<SegmentEntry> {
  const names = Object.keys(metrics);
  const points = new PointBuffer((end - first) * names.length);
  for (const [metric, name] of names.entries()) {
    const valueOf = metrics[name]!;
    for (let step = first; step < end; step++)
      points.push(metric, step, valueOf(step), created + step * STEP_MS, step * names.length + metric);
  }
  const cover = { writer, first: first * names.length, last: end * names.length - 1 };
  const sealed = await sealSegment({ run: run as RunId, ...cover }, points.from(0), names, {
    compressor: pageCompressor,
    effort: 'fast',
  });
  const digest = createHash('sha256').update(sealed.bytes).digest('hex');
  const response = await fetch(`${url}/api/v1/blobs/${digest}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
    body: sealed.bytes as Uint8Array<ArrayBuffer>,
  });
  if (!response.ok) throw new Error(`The segment was not taken: ${await response.text()}`);
  const { startTime, endTime } = sealed;
  return {
    kind: 'segment',
    ...cover,
    device,
    digest: digest as SegmentEntry['digest'],
    size: sealed.bytes.length,
    points: points.length,
    startTime,
    endTime,
    levels: [],
    extra: {},
  };
}

function cardOf(
  { run, metrics, points, attributes = {} }: FilledRun,
  { project, writer, device, created }: { project: ProjectId; writer: WriterId; device: DeviceId; created: number },
): Card {
  const ended = created + points * STEP_MS;
  const summaries = Object.entries(metrics).map(([path, valueOf]): [AttributePath, MetricSummary] => {
    const summary = {
      count: points,
      last: valueOf(points - 1),
      lastStep: points - 1,
      min: NaN,
      minStep: 0,
      max: NaN,
      maxStep: 0,
      nonFinite: 0,
    };
    for (let step = 0; step < points; step++) {
      const value = valueOf(step);
      if (!Number.isFinite(value)) summary.nonFinite += 1;
      else {
        if (!(value >= summary.min)) Object.assign(summary, { min: value, minStep: step });
        if (!(value <= summary.max)) Object.assign(summary, { max: value, maxStep: step });
      }
    }
    return [path as AttributePath, summary];
  });
  return {
    run: run as RunId,
    writer,
    device,
    project,
    ordinal: points,
    created,
    updated: ended,
    ended,
    status: 'finished',
    name: run,
    group: null,
    notes: null,
    tags: [],
    user: 'ada',
    host: 'gpu-1',
    attributes: new Map(Object.entries(attributes) as [AttributePath, AttributeValue][]),
    metrics: new Map(summaries),
    role: null,
    removed: [],
    extra: {},
  };
}
