import { attributeColumn } from './columns.ts';
import type { DocumentName, RunId } from '@fieldbook/core';
import type { RunDocument } from '@fieldbook/core/documents';
import { newestCaptures } from '@fieldbook/core/documents';
import { mergeMetrics } from '@fieldbook/core/fold';
import type { RunState } from '@fieldbook/core/fold';
import type { MetricSummary, WriterEntry } from '@fieldbook/core/record';
import type { RunDetail, WriterDetail } from './api.ts';
import { jsonObject } from './entry-fields.ts';
import type { Http } from './http.ts';
import type { Project } from './project.ts';
import type { Capture, Family, Holders, Relative, ToGo } from './run-api.ts';
import { attachmentsOf } from './run-files.ts';

/** Says of which run a run is a child. */
export const PARENT = 'sys/parent';
/** Children that a page lists. */
const CHILDREN = 200;

/** What the run's document adds to its state: everything that is too long for a card. */
export function detailOf(
  state: RunState,
  document: RunDocument,
  name: DocumentName,
): Omit<RunDetail, 'history' | 'unsaved'> {
  let points = 0;
  let bytes = 0;
  for (const segment of document.segments()) {
    points += segment.points;
    bytes += segment.size;
  }
  for (const tail of document.tails()) points += tail.metric.length;
  const entries = writersOf(state, document);
  const captures = newestCaptures(document.captures()).map(({ writer, device, section, ordinal }) => ({
    writer,
    section,
    version: `${device}/${ordinal}`,
  }));
  return {
    state,
    writers: entries.map(writerDetail),
    points: points === 0 ? null : points,
    bytes,
    captures,
    system: systemOf(entries),
    consoleLines: consoleLines(document),
    ...attachmentsOf(document),
    documents: [name],
  };
}

/** Of each writer what the device says whose card holds; where that is not here, what came furthest. */
function writersOf(state: RunState, document: RunDocument): WriterEntry[] {
  const holding = new Map(state.writers.map(({ writer, device }) => [writer, device]));
  const best = new Map<string, WriterEntry>();
  for (const entry of document.writers()) {
    const other = best.get(entry.writer);
    const holds = holding.get(entry.writer) === entry.device;
    if (other === undefined || holds || (holding.get(entry.writer) !== other.device && entry.ordinal > other.ordinal))
      best.set(entry.writer, entry);
  }
  const places = new Map(state.writers.map(({ writer }, place) => [writer as string, place]));
  return [...best.values()].sort((a, b) => (places.get(a.writer) ?? Infinity) - (places.get(b.writer) ?? Infinity));
}

function writerDetail(entry: WriterEntry): WriterDetail {
  const { writer, attributes, environment, exitCode, signal, reason, traceback, dropped, damage } = entry;
  return { writer, attributes, environment, exitCode, signal, reason, traceback, dropped, damage };
}

/** The machine's metrics, which are on no card. */
function systemOf(entries: readonly WriterEntry[]): Map<string, MetricSummary> {
  const metrics = new Map<string, MetricSummary>();
  for (const { system } of entries) {
    for (const [path, summary] of system) {
      const before = metrics.get(path);
      metrics.set(path, before === undefined ? summary : mergeMetrics(before, summary));
    }
  }
  return metrics;
}

/** How many lines of console there are, about: pieces that several devices sealed count as the largest of them. */
function consoleLines(document: RunDocument): number {
  const devices = new Map<string, number>();
  const add = (writer: string, device: string, rows: number): void => {
    const key = `${writer} ${device}`;
    devices.set(key, (devices.get(key) ?? 0) + rows);
  };
  for (const { writer, device, paths } of document.objects())
    for (const { path, rows } of paths) if (path.startsWith('console/')) add(writer, device, rows);
  for (const { writer, device, rows } of document.objectTails())
    add(
      writer,
      device,
      rows.reduce((sum, { path }) => sum + (path.startsWith('console/') ? 1 : 0), 0),
    );
  const writers = new Map<string, number>();
  for (const [key, rows] of devices) {
    const writer = key.slice(0, key.indexOf(' '));
    writers.set(writer, Math.max(writers.get(writer) ?? 0, rows));
  }
  return [...writers.values()].reduce((sum, rows) => sum + rows, 0);
}

/** Captured sections by `<writer>/<section>`; what is no JSON object is left out. */
export function capturesOf(document: RunDocument, keys: ReadonlySet<string>): Capture[] {
  return newestCaptures(document.captures()).flatMap(({ writer, section, data }) => {
    if (!keys.has(`${writer}/${section}`)) return [];
    const value = jsonObject(data);
    return value === undefined ? [] : [{ writer, section, data: value }];
  });
}

/** What `familyOf` needs of a project's table. */
export const PARENT_COLUMN = attributeColumn(PARENT);

/** The run above and those below; a child is found by what it says of its parent, so both are of one project. */
export function familyOf(project: Project, run: RunId, now: number): Family {
  const relatives = (ids: readonly RunId[]): Relative[] =>
    project.rows(ids, [], now, () => false).map(({ id, name, status }) => ({ id, project: project.id, name, status }));
  const [said] = project.rows([run], [PARENT_COLUMN], now, () => false).flatMap(({ cells }) => cells);
  const parent = typeof said === 'string' ? (relatives([said as RunId])[0] ?? null) : null;
  const view = {
    drawer: 'runs',
    query: `${PARENT} = ${JSON.stringify(run)}`,
    sort: [{ column: 'created', descending: false }],
  } as const;
  const { rows, error } = project.table.select(view, now);
  const children = error === null ? rows : new Uint32Array();
  return {
    parent,
    children: relatives(project.table.idsOf(children.subarray(0, CHILDREN))),
    more: children.length > CHILDREN,
  };
}

/** Which machines have all of a run, as the server knows. Undefined when none answers. */
export async function holdersOf(
  http: Pick<Http, 'json'>,
  kind: string,
  run: RunId,
  project: string,
): Promise<Holders | undefined> {
  try {
    const address = `/runs/${encodeURIComponent(run)}`;
    const where = `?project=${encodeURIComponent(project)}`;
    const [detail, sync, places] = await Promise.all([
      // An agent of before takes everything.
      http.json<{ holders: string[]; elsewhere?: { peers: Away[] } | null }>(`${address}${where}`),
      http.json<{ peers: { url: string; name: string | null }[] }>('/sync'),
      // An agent of before does not know.
      http.json<{ peers: PeerPlaces[] }>(`${address}/places${where}`).catch(() => ({ peers: [] })),
    ]);
    const nameOf = (url: string): string => sync.peers.find((peer) => peer.url === url)?.name ?? url;
    const toGo = places.peers.flatMap((peer) => toGoOf(peer) ?? []);
    const names = detail.holders.map(nameOf).filter((name) => toGo.every((peer) => peer.name !== name));
    const elsewhere = (detail.elsewhere?.peers ?? []).map((peer) => ({ ...peer, name: peer.name ?? peer.url }));
    return { kind, names, shares: sync.peers.length > 0, toGo, elsewhere };
  } catch {
    return undefined;
  }
}

/** A peer of `elsewhere` of `GET /runs/{run}`. */
interface Away {
  url: string;
  name: string | null;
  connected: boolean;
  since: number | null;
}

/** A peer of `GET /runs/{run}/places`. */
interface PeerPlaces {
  url: string;
  name: string | null;
  connected: boolean;
  documents: { toGo: number };
  points: { toGo: number; bytesToGo: number } | null;
  files: { toGo: number; bytesToGo: number } | null;
}

function toGoOf({ url, name, connected, documents, points, files }: PeerPlaces): ToGo | undefined {
  const blobs = (points?.toGo ?? 0) + (files?.toGo ?? 0);
  if (documents.toGo + blobs === 0) return undefined;
  const size = (points?.bytesToGo ?? 0) + (files?.bytesToGo ?? 0);
  return { name: name ?? url, connected, documents: documents.toGo, blobs, bytes: size };
}
