import * as Y from 'yjs';
import { noteText } from '../documents/note.ts';
import type { DeviceId, DocumentName } from '../ids.ts';
import { CLIENT_CLAIMS, encodeRepair, removalDigest, REPAIRS } from '../record/index.ts';
import type { LoggedCommit } from '../store/index.ts';
import { isNote, originOf, slotsOf, textOf, valueOf } from './document-records.ts';

/** What is to be left out of a rebuilt document: everything that any of these is true of. */
export interface Without {
  /** Yjs client ids. */
  clients?: readonly number[];
  /** Devices that records say they are of. */
  devices?: readonly string[];
  /** Ids of tokens that updates came with. */
  tokens?: readonly string[];
  /** First and last of this store's commits, both included. */
  seqs?: readonly [first: number, last: number];
}

export interface RebuildSource {
  name: DocumentName;
  generation: number;
  /** Its bytes, oldest first; all that is whole of a damaged document. */
  parts: readonly Uint8Array[];
  /** What is kept of its commits, oldest first. */
  log: readonly LoggedCommit[];
}

/** One record that a rebuilding leaves out or puts back. */
export interface RecordChange {
  map: string;
  key: string;
  run: string | null;
  device: string | null;
}

export interface Rebuilding {
  kept: Map<string, Map<string, Uint8Array>>;
  text: string | null;
  removed: RecordChange[];
  /** Keys that hold again what they held before somebody who is left out changed or deleted them. */
  restored: RecordChange[];
  /** Keys whose earlier value nothing here has any more: they are left out whole. */
  unrestorable: RecordChange[];
  /** Digests of what was removed, for replicas that come later. */
  digests: Set<string>;
  /** How far the document had each client. */
  seen: Map<number, number>;
  /** Records whose predecessors are lost, taken over all the same. */
  orphans: number;
  /** False when older commits than the log has made part of the document: what they did is told by client and device only. */
  reachesBack: boolean;
  /** Bytes of the source as one update, and of the new document, which only `encodeRebuilt` knows. */
  bytesBefore: number;
}

/** What is known of the clocks of one client: which commit brought them. */
interface Span {
  start: number;
  end: number;
  commit: LoggedCommit;
}

/**
 * What of a document is left without some of those who wrote to it. Folds ask only for records, so these in a new
 * document are the same state. A key that somebody left out wrote last holds what was there before, if that is still in
 * the log; what somebody left out deleted is back under the same condition. Who brought an update is known of commits in the
 * log, who wrote it (client, device) always.
 */
export function planRebuilding({ name, parts, log }: RebuildSource, without: Without): Rebuilding {
  const { doc, bytes } = assemble(parts, log);
  const spans = new Map<number, Span[]>();
  const contents = new Map<string, Uint8Array>();
  for (const commit of log) index(commit, spans, contents);
  const commitOf = (client: number, clock: number): LoggedCommit | undefined =>
    spans.get(client)?.find(({ start, end }) => clock >= start && clock < end)?.commit;
  const isOutCommit = (commit: LoggedCommit | undefined): boolean =>
    commit !== undefined &&
    ((without.seqs !== undefined && commit.seq >= without.seqs[0] && commit.seq <= without.seqs[1]) ||
      (commit.source?.token != null && (without.tokens ?? []).includes(commit.source.token)));
  const isOut = (client: number, clock: number, device: string | null): boolean =>
    (without.clients ?? []).includes(client) ||
    (device !== null && (without.devices ?? []).includes(device)) ||
    isOutCommit(commitOf(client, clock));

  const seen = Y.decodeStateVector(Y.encodeStateVector(doc));
  const plan: Rebuilding = {
    kept: new Map(),
    text: null,
    removed: [],
    restored: [],
    unrestorable: [],
    orphans: 0,
    digests: new Set(),
    seen,
    reachesBack: [...seen].every(([client]) => spans.get(client)?.[0]?.start === 0),
    bytesBefore: bytes,
  };
  if (isNote(name)) {
    const standing: string[] = [];
    for (const { client, clock, text } of textOf(doc))
      for (let at = 0; at < text.length; at++) if (!isOut(client, clock + at, null)) standing.push(text[at]!);
    plan.text = standing.join('');
    if (plan.text !== noteText(doc).toJSON())
      plan.removed.push({ map: 'text', key: 'text', run: name.slice('note/'.length), device: null });
    return plan;
  }
  const undone = deletionsOf(log, without, isOutCommit);
  const contentOf = ({ content, id }: Y.Item): Uint8Array | undefined =>
    content instanceof Y.ContentBinary ? content.content : contents.get(`${id.client} ${id.clock}`);
  for (const { map, key, item } of slotsOf(doc)) {
    let last: Y.Item | null = item;
    let left = 0;
    let known: Uint8Array | undefined;
    for (; last !== null; last = last.left) {
      known = contentOf(last);
      const device = known === undefined ? null : originOf(map, known).device;
      if (!isOut(last.id.client, last.id.clock, device)) break;
      left += 1;
      if (known !== undefined) plan.digests.add(removalDigest(map, key, known));
    }
    // Somebody who stays deleted it.
    if (item.deleted && !isUndone(undone, item)) continue;
    const was = valueOf(item);
    const about = was ?? contentOf(item) ?? known;
    const change = { map, key, ...(about === undefined ? { run: null, device: null } : originOf(map, about)) };
    if (last !== null && known !== undefined) {
      keep(plan, map, key, known);
      if (left > 0 || was === undefined) plan.restored.push(change);
    } else if (last !== null) plan.unrestorable.push(change);
    else if (was !== undefined) plan.removed.push(change);
  }
  for (const { map, key, bytes } of orphansOf(doc)) {
    const { device } = originOf(map, bytes);
    if (plan.kept.get(map)?.has(key) === true || (without.devices ?? []).includes(device ?? '')) continue;
    keep(plan, map, key, bytes);
    plan.orphans += 1;
  }
  doc.destroy();
  return plan;
}

/** The rebuilt document, written by `client`, whole. */
export function encodeRebuilt(
  { name, generation }: Pick<RebuildSource, 'name' | 'generation'>,
  plan: Rebuilding,
  as: { client: number; to: number; device: DeviceId; time: number; reason: string; without: Without },
): Uint8Array {
  const doc = new Y.Doc();
  doc.clientID = as.client;
  doc.transact(() => {
    if (plan.text !== null && plan.text !== '') noteText(doc).insert(0, plan.text);
    for (const [map, records] of plan.kept) for (const [key, bytes] of records) doc.getMap(map).set(key, bytes);
    // A note is text and nothing else: what was removed of one is not told to those who come late.
    if (isNote(name)) return;
    const { clients = [], devices = [] } = as.without;
    const note = { from: generation, seen: plan.seen, removed: plan.digests, clients, devices };
    for (const [key, bytes] of encodeRepair({
      ...note,
      to: as.to,
      time: as.time,
      device: as.device,
      reason: as.reason,
    }))
      doc.getMap(REPAIRS).set(key, bytes);
  });
  const update = Y.encodeStateAsUpdate(doc);
  doc.destroy();
  return update;
}

/** Everything that the parts and the log hold, without garbage collection as far as the log goes. */
export function assemble(parts: readonly Uint8Array[], log: readonly LoggedCommit[]): { doc: Y.Doc; bytes: number } {
  const doc = new Y.Doc({ gc: false });
  // Broken parts of a damaged document must not end the rebuilding: what can be applied is.
  const apply = (update: Uint8Array): void => {
    try {
      Y.applyUpdate(doc, update, 'rebuild');
    } catch {
      // Told by what is missing afterwards.
    }
  };
  doc.transact(() => {
    for (const part of parts) apply(part);
    for (const { update } of log) apply(update);
  }, 'rebuild');
  return { doc, bytes: parts.reduce((sum, part) => sum + part.length, 0) };
}

function keep(plan: Rebuilding, map: string, key: string, bytes: Uint8Array): void {
  let records = plan.kept.get(map);
  if (records === undefined) plan.kept.set(map, (records = new Map()));
  records.set(key, bytes);
}

function index(commit: LoggedCommit, spans: Map<number, Span[]>, contents: Map<string, Uint8Array>): void {
  let structs: readonly { id: Y.ID; length: number }[];
  try {
    ({ structs } = Y.decodeUpdate(commit.update));
  } catch {
    return;
  }
  for (const struct of structs) {
    const { client, clock } = struct.id;
    const known = spans.get(client) ?? [];
    spans.set(client, known);
    const last = known.at(-1);
    if (last?.commit === commit && last.end === clock) last.end = clock + struct.length;
    else known.push({ start: clock, end: clock + struct.length, commit });
    if (struct instanceof Y.Item && struct.content instanceof Y.ContentBinary)
      contents.set(`${client} ${clock}`, struct.content.content);
  }
}

/** Ranges of clocks that only somebody who is left out has deleted. */
function deletionsOf(
  log: readonly LoggedCommit[],
  without: Without,
  isOutCommit: (commit: LoggedCommit) => boolean,
): Map<number, { start: number; end: number; out: boolean }[]> {
  const deletions = new Map<number, { start: number; end: number; out: boolean }[]>();
  for (const commit of log) {
    let update: ReturnType<typeof Y.decodeUpdate>;
    try {
      update = Y.decodeUpdate(commit.update);
    } catch {
      continue;
    }
    const authors = new Set(update.structs.map(({ id }) => id.client));
    // Yjs does not say who deletes; an update that one client made is taken to be all its own.
    const byClient = authors.size > 0 && [...authors].every((client) => (without.clients ?? []).includes(client));
    const out = byClient || isOutCommit(commit);
    for (const [client, ranges] of update.ds.clients) {
      const known = deletions.get(client) ?? [];
      deletions.set(client, known);
      for (const { clock, len } of ranges) known.push({ start: clock, end: clock + len, out });
    }
  }
  return deletions;
}

function isUndone(deletions: ReturnType<typeof deletionsOf>, { id }: Y.Item): boolean {
  const own = (deletions.get(id.client) ?? []).filter(({ start, end }) => id.clock >= start && id.clock < end);
  return own.length > 0 && own.every(({ out }) => out);
}

/** Records of updates that cannot be applied, since what they build on is lost; those that say where they belong. */
export function* orphansOf(doc: Y.Doc): Generator<{ map: string; key: string; bytes: Uint8Array }> {
  const pending = doc.store.pendingStructs;
  if (pending === null) return;
  // Yjs keeps them in its second encoding.
  for (const struct of Y.decodeUpdateV2(pending.update).structs) {
    if (!(struct instanceof Y.Item) || !(struct.content instanceof Y.ContentBinary)) continue;
    // A record that was overwritten names the one before it instead of its place.
    const { parent, parentSub } = struct as { parent: unknown; parentSub: string | null };
    if (typeof parent === 'string' && parentSub !== null && parent !== CLIENT_CLAIMS)
      yield { map: parent, key: parentSub, bytes: struct.content.content };
  }
}
