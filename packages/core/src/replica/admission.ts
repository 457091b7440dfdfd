import * as Y from 'yjs';
import { NOTE_TEXT } from '../documents/note.ts';
import { FieldbookError, isFieldbookError } from '../errors.ts';
import { isSignedBy } from '../access/device-key.ts';
import type { DeviceId, DocumentName } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { DirectoryRecord } from '../record/index.ts';
import {
  captureKey,
  cardKey,
  CLAIM_BYTES,
  claimText,
  CLIENT_CLAIMS,
  decodeClientClaim,
  parseCardKey,
  decodeCard,
  decodeDirectoryRecord,
  decodeEdit,
  decodeEntry,
  decodeRecord,
  fileKey,
  isRepairPiece,
  linkId,
  objectsKey,
  REPAIRS,
  segmentKey,
  writerKey,
} from '../record/index.ts';
import type { UpdateScan } from './update-scan.ts';
import { scanUpdate } from './update-scan.ts';

/** What a document kind may hold: flat top-level maps of byte records. */
interface MapRule {
  /** A value under an existing key is refused unless it is the same bytes. */
  immutable: boolean;
  /** Whether a key may go. What everybody needs for finding everything else may not. */
  deletable: boolean;
  limitBytes: number;
  /** Throws `record_*` when `bytes` is malformed; returns false when it does not belong under `key`. */
  fits(key: string, bytes: Uint8Array, name: DocumentName): boolean;
}

type Schema = Readonly<Record<string, MapRule>>;

/** Who uses which client id. One key, one claim, and each proves itself. */
const CLAIMS_RULE: MapRule = {
  immutable: true,
  deletable: false,
  limitBytes: CLAIM_BYTES,
  fits: (key, bytes, name) => {
    const claim = decodeClientClaim(bytes);
    if (claim === undefined) return true;
    const { device, publicKey, signature } = claim;
    return isClientId(key) && isSignedBy(device, publicKey, claimText(name, Number(key)), signature);
  },
};

function isClientId(key: string): boolean {
  return /^(0|[1-9]\d{0,15})$/.test(key) && Number.isSafeInteger(Number(key));
}

const BOOK: Schema = {
  [CLIENT_CLAIMS]: CLAIMS_RULE,
  cards: {
    immutable: false,
    deletable: false,
    limitBytes: LIMITS.cardBytes,
    fits: (key, bytes) => {
      const card = decodeCard(bytes);
      return card === undefined || cardKey(card) === key;
    },
  },
  edits: {
    immutable: true,
    deletable: false,
    limitBytes: LIMITS.editBytes,
    fits: (key, bytes) => {
      const edit = decodeEdit(bytes);
      return edit === undefined || edit.id === key;
    },
  },
};

const RUN: Schema = {
  entries: {
    immutable: false,
    deletable: true,
    limitBytes: LIMITS.entryBytes,
    fits: (key, bytes) => {
      const entry = decodeEntry(bytes);
      switch (entry?.kind) {
        case 'segment':
          return key === segmentKey(entry);
        case 'tail':
          return key.startsWith(`tail/${entry.writer}/${entry.device}/`);
        case 'writer':
          return key === writerKey(entry);
        case 'file':
          return key === fileKey(entry);
        case 'objects':
          return key === objectsKey(entry);
        case 'objecttail':
          return key.startsWith(`objecttail/${entry.writer}/${entry.device}/`);
        case 'capture':
          return key === captureKey(entry);
        case undefined:
          return true;
      }
    },
  },
};

const directory = (kind: DirectoryRecord['kind'], immutable: boolean, keyFits: (key: string) => boolean): MapRule => ({
  immutable,
  deletable: false,
  limitBytes: LIMITS.editBytes,
  fits: (key, bytes) => {
    const record = decodeDirectoryRecord(bytes);
    if (record === undefined) return true;
    if (record.kind !== kind || !keyFits(key)) return false;
    if (record.kind === 'link') return linkId(record.target) === key;
    return record.kind !== 'device' || record.device === key;
  },
});

const WORKSPACE: Schema = {
  [CLIENT_CLAIMS]: CLAIMS_RULE,
  books: directory('book', false, isBookKey),
  devices: directory('device', false, () => true),
  names: directory('workspace-name', true, () => true),
  'x-views': directory('view', true, () => true),
  'x-links': directory('link', true, () => true),
};

function isBookKey(key: string): boolean {
  try {
    return parseDocumentName(`book/${key}`).kind === 'book';
  } catch {
    return false;
  }
}

/** A note is one text and nothing else: the scan sees to what is in it. */
const NOTE: Schema = {};

/** Maps whose name begins so may be added by newer versions; their values must be well-formed records. */
const NEWER = /^x-[a-z0-9-]{1,32}$/;
const NEWER_RULE: MapRule = {
  immutable: false,
  deletable: true,
  limitBytes: LIMITS.entryBytes,
  fits: (_key, bytes) => {
    decodeRecord(bytes, LIMITS.entryBytes);
    return true;
  },
};

export function schemaOf(name: DocumentName): Schema {
  const { kind } = parseDocumentName(name);
  return kind === 'book' ? BOOK : kind === 'run' ? RUN : kind === 'note' ? NOTE : WORKSPACE;
}

/** What a document may grow to. */
export function documentLimit(name: DocumentName): number {
  return parseDocumentName(name).kind === 'note' ? LIMITS.noteDocumentBytes : LIMITS.documentBytes;
}

/** What a rebuilding leaves behind for replicas that come late. It comes with the rebuilt document and in no other way. */
const REPAIRS_RULE: MapRule = { immutable: true, deletable: false, limitBytes: LIMITS.entryBytes, fits: isRepairPiece };

function ruleOf(schema: Schema, map: string): MapRule | undefined {
  if (map === REPAIRS && schema !== NOTE) return REPAIRS_RULE;
  return Object.hasOwn(schema, map) ? schema[map] : NEWER.test(map) ? NEWER_RULE : undefined;
}

/**
 * What can be said of a remote update before it touches a document: its size, that it can be decoded, that it holds
 * nothing but byte records in maps that the document may have, and that everything it builds on is here. `stateOf` says
 * how far the document has each client. Throws `update_too_large`, `update_malformed`, `update_forbidden_content`,
 * `missing_dependency`.
 */
export function inspectUpdate(
  name: DocumentName,
  update: Uint8Array,
  stateOf: (client: number) => number,
  clients = 0,
): UpdateScan {
  const limit = Math.min(LIMITS.updateBytes, documentLimit(name));
  if (update.length > limit) {
    const message = `An update of ${name} has ${update.length} bytes; the limit is ${limit}.`;
    throw new FieldbookError('update_too_large', message);
  }
  const schema = schemaOf(name);
  const holds = schema === NOTE ? 'text' : 'records';
  const scan = scanUpdate(update, { structs: LIMITS.updateStructs, keyBytes: LIMITS.keyBytes, holds });
  for (const map of scan.maps) {
    const isKnown = schema === NOTE ? map === NOTE_TEXT : ruleOf(schema, map) !== undefined;
    if (!isKnown) throw forbidden(name, `a map "${map.slice(0, 40)}"`);
  }
  let fresh = 0;
  for (const [client, { start }] of scan.spans) {
    if (start > stateOf(client)) throw missing(name);
    if (stateOf(client) === 0) fresh += 1;
  }
  if (fresh > LIMITS.updateClients || (fresh > 0 && clients + fresh > LIMITS.documentClients)) {
    const most = fresh > LIMITS.updateClients ? LIMITS.updateClients : LIMITS.documentClients;
    const where = fresh > LIMITS.updateClients ? 'an update' : 'a document';
    throw new FieldbookError(
      'update_too_large',
      `An update of ${name} brings ${fresh} client ids to the ${clients} that are there; ${where} may have ${most}.`,
    );
  }
  for (const [client, clock] of scan.needs) {
    if (clock >= Math.max(stateOf(client), scan.spans.get(client)?.end ?? 0)) throw missing(name);
  }
  return scan;
}

/** One key that an update wrote or took away. */
export interface RecordChange {
  map: string;
  key: string;
  /** Undefined when there was no record. */
  before: Uint8Array | undefined;
  /** Undefined when there is none any more. */
  after: Uint8Array | undefined;
}

/** What a judge is told of an update that is applied and otherwise admitted. */
export interface UpdateFacts {
  name: DocumentName;
  changes: readonly RecordChange[];
  /** Whether the text of a note changed. */
  text: boolean;
  /** The client ids that wrote, the devices that claim them, and whether the document has never had them. */
  clients: ReadonlyMap<number, { device: DeviceId | undefined; fresh: boolean }>;
}

/** On whose word an update is applied. */
export interface Sender {
  /** Throws `forbidden` for what this sender may not change. Called before the update is stored. */
  judge?: ((facts: UpdateFacts) => void) | undefined;
}

/** The facts of a transaction that `inspectTransaction` has passed. */
export function factsOf(name: DocumentName, doc: Y.Doc, transaction: Y.Transaction): UpdateFacts {
  const changes: RecordChange[] = [];
  let text = false;
  for (const [type, keys] of transaction.changed) {
    const map = mapNameOf(doc, type)!;
    for (const key of keys) {
      if (key === null) text = true;
      const item = key === null ? undefined : type._map.get(key);
      if (key === null || item === undefined) continue;
      const after = item.deleted ? undefined : bytesOf(item);
      changes.push({ map, key, before: bytesOf(liveBefore(item, transaction)), after });
    }
  }
  const clients = new Map<number, { device: DeviceId | undefined; fresh: boolean }>();
  const claimed = claims(doc);
  for (const [client, clock] of transaction.afterState) {
    const before = transaction.beforeState.get(client) ?? 0;
    if (clock > before) clients.set(client, { device: claimed(client), fresh: before === 0 });
  }
  return { name, changes, text, clients };
}

/**
 * What can only be said once an update is applied: that the changed keys of immutable maps are new, and that every
 * changed value is a record that belongs under its key. Throws `record_immutable`, `record_malformed`,
 * `record_too_large`, `update_forbidden_content`; the caller must then throw the document away. `whole`: what is applied
 * is a whole document that is to replace ours, notes of its rebuildings included.
 */
export function inspectTransaction(name: DocumentName, doc: Y.Doc, transaction: Y.Transaction, whole = false): void {
  const schema = schemaOf(name);
  const claimed = claims(doc);
  for (const [type, keys] of transaction.changed) {
    const map = mapNameOf(doc, type);
    if (schema === NOTE) {
      if (map !== NOTE_TEXT || [...keys].some((key) => key !== null)) throw forbidden(name, 'more than its text');
      continue;
    }
    const rule = map === undefined ? undefined : ruleOf(schema, map);
    if (map === undefined || rule === undefined) throw forbidden(name, 'a shared type that it may not hold');
    if (map === REPAIRS && !whole) throw forbidden(name, 'notes of a repair outside of a rebuilt document');
    for (const key of keys) {
      if (key === null) throw forbidden(name, `list content in "${map}"`);
      const item = type._map.get(key);
      if (item === undefined) continue;
      inspectKey(name, map, rule, key, item, transaction);
      // Whoever rebuilds a document writes everybody's records, and whoever takes single runs in collects copies.
      if (whole || item.deleted) continue;
      if (map === CLIENT_CLAIMS) inspectClaim(name, key, item);
      if (map === 'cards' && !isCollected(name)) inspectCardsClient(name, key, item, claimed(item.id.client));
    }
  }
}

function inspectKey(
  name: DocumentName,
  map: string,
  rule: MapRule,
  key: string,
  item: Y.Item,
  transaction: Y.Transaction,
): void {
  const before = liveBefore(item, transaction);
  if (before !== undefined && item.deleted && !rule.deletable) {
    throw new FieldbookError('record_immutable', `An update of ${name} deletes a record of "${map}".`);
  }
  if (rule.immutable) {
    // What lost against it, in this very update or concurrently, must have said the same. One that arrives emptied was
    // compared where both were made.
    const lost = item.left?.content instanceof Y.ContentBinary ? item.left : undefined;
    if ([before, lost].some((other) => other !== undefined && other !== item && !sameBytes(other, item))) {
      throw new FieldbookError('record_immutable', `An update of ${name} changes a record of "${map}".`);
    }
  }
  // Without a live one before it, a deleted item is history whose successor is still to come.
  if (item.deleted) return;
  const value = item.content instanceof Y.ContentBinary ? item.content.content : undefined;
  if (value === undefined) throw forbidden(name, 'a value that is not bytes');
  if (value.length > rule.limitBytes) {
    throw new FieldbookError(
      'record_too_large',
      `An update of ${name} holds a record of ${value.length} bytes; the limit is ${rule.limitBytes}.`,
    );
  }
  let fits: boolean;
  try {
    fits = rule.fits(key, value, name);
  } catch (error) {
    if (isFieldbookError(error)) throw error;
    throw new FieldbookError('record_malformed', `An update of ${name} holds a broken record.`, { cause: error });
  }
  if (!fits) throw forbidden(name, `a record of "${map}" under a key that is not its own`);
}

/**
 * A claim is the first that its client id ever says in the document: so nobody claims what somebody else already uses, and
 * every replica, early or late, judges the same.
 */
function inspectClaim(name: DocumentName, key: string, { id }: Y.Item): void {
  if (isClientId(key) && (id.client !== Number(key) || id.clock !== 0))
    throw forbidden(name, `a claim of client id ${key.slice(0, 20)} that is not the first it says`);
}

/** A card is written by its device. Client ids that nobody claims are those of older programs and of pages. */
function inspectCardsClient(name: DocumentName, key: string, { id }: Y.Item, device: DeviceId | undefined): void {
  const card = parseCardKey(key);
  if (device === undefined || card === undefined || card.device === device) return;
  throw forbidden(name, `a card of device ${card.device}, written under client id ${id.client} of device ${device}`);
}

/** A book of runs that were taken in one by one, each from whoever had it. */
function isCollected(name: DocumentName): boolean {
  return name.endsWith('/0000-01');
}

/** The devices that claim client ids in a document, read when asked. */
function claims(doc: Y.Doc): (client: number) => DeviceId | undefined {
  const known = new Map<number, DeviceId | undefined>();
  // As it lies there: asking for it as a map would put another object in the place of the one that the transaction names.
  const map = doc.share.get(CLIENT_CLAIMS)?._map;
  return (client) => {
    if (known.has(client)) return known.get(client);
    const item = map?.get(String(client));
    const bytes = item?.deleted === true ? undefined : bytesOf(item);
    let device: DeviceId | undefined;
    try {
      device = bytes === undefined ? undefined : decodeClientClaim(bytes)?.device;
    } catch {
      // Refused under its own key.
    }
    known.set(client, device);
    return device;
  };
}

/** What the key held before the transaction. `item` is the last of the key's history, which grows to the right. */
function liveBefore(item: Y.Item, { beforeState, deleteSet }: Y.Transaction): Y.Item | undefined {
  let old: Y.Item | null = item;
  while (old !== null && old.id.clock >= (beforeState.get(old.id.client) ?? 0)) old = old.left;
  return old !== null && (!old.deleted || Y.isDeleted(deleteSet, old.id)) ? old : undefined;
}

function bytesOf(item: Y.Item | undefined): Uint8Array | undefined {
  return item?.content instanceof Y.ContentBinary ? item.content.content : undefined;
}

function sameBytes(before: Y.Item, item: Y.Item): boolean {
  if (!(before.content instanceof Y.ContentBinary) || !(item.content instanceof Y.ContentBinary)) return false;
  const a = before.content.content;
  const b = item.content.content;
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function mapNameOf(doc: Y.Doc, type: unknown): string | undefined {
  for (const [name, shared] of doc.share) if (shared === type) return name;
  return undefined;
}

function missing(name: DocumentName): FieldbookError {
  return new FieldbookError('missing_dependency', `An update of ${name} needs changes that have not arrived.`);
}

function forbidden(name: DocumentName, what: string): FieldbookError {
  return new FieldbookError('update_forbidden_content', `An update of ${name} holds ${what}.`);
}
