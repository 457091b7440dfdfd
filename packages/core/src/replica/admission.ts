import * as Y from 'yjs';
import { FieldbookError, isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import {
  cardKey,
  decodeCard,
  decodeDirectoryRecord,
  decodeEdit,
  decodeEntry,
  decodeRecord,
  segmentKey,
  writerKey,
} from '../record/index.ts';

/** What a document kind may hold: flat top-level maps of byte records. */
interface MapRule {
  /** A value under an existing key is refused unless it is the same bytes; deletes are refused. */
  immutable: boolean;
  limitBytes: number;
  /** Throws `record_*` when `bytes` is malformed; returns false when it does not belong under `key`. */
  fits(key: string, bytes: Uint8Array): boolean;
}

type Schema = Readonly<Record<string, MapRule>>;

const BOOK: Schema = {
  cards: {
    immutable: false,
    limitBytes: LIMITS.cardBytes,
    fits: (key, bytes) => {
      const card = decodeCard(bytes);
      return card === undefined || cardKey(card) === key;
    },
  },
  edits: {
    immutable: true,
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
        case undefined:
          return true;
      }
    },
  },
};

const directory = (immutable: boolean, kind: string): MapRule => ({
  immutable,
  limitBytes: LIMITS.editBytes,
  fits: (key, bytes) => {
    const record = decodeDirectoryRecord(bytes);
    return record === undefined || (record.kind === kind && (record.kind !== 'device' || record.device === key));
  },
});

const WORKSPACE: Schema = {
  books: directory(false, 'book'),
  devices: directory(false, 'device'),
  names: directory(true, 'workspace-name'),
};

/** Maps whose name begins so may be added by newer versions; their values must be well-formed records. */
const NEWER = /^x-[a-z0-9-]{1,32}$/;
const NEWER_RULE: MapRule = {
  immutable: false,
  limitBytes: LIMITS.entryBytes,
  fits: (_key, bytes) => {
    decodeRecord(bytes, LIMITS.entryBytes);
    return true;
  },
};

export function schemaOf(name: DocumentName): Schema {
  const { kind } = parseDocumentName(name);
  return kind === 'book' ? BOOK : kind === 'run' ? RUN : WORKSPACE;
}

function ruleOf(schema: Schema, map: string): MapRule | undefined {
  return Object.hasOwn(schema, map) ? schema[map] : NEWER.test(map) ? NEWER_RULE : undefined;
}

/**
 * What can be said of a remote update before it touches a document: size, decodability, and that it holds nothing
 * but byte values in maps that the document may have. Throws `update_too_large`, `update_malformed`,
 * `update_forbidden_content`, `missing_dependency`.
 */
export function inspectUpdate(name: DocumentName, update: Uint8Array, stateOf: (client: number) => number): void {
  if (update.length > LIMITS.updateBytes) {
    throw new FieldbookError(
      'update_too_large',
      `An update of ${name} has ${update.length} bytes; the limit is ${LIMITS.updateBytes}.`,
    );
  }
  const schema = schemaOf(name);
  let decoded: ReturnType<typeof Y.decodeUpdate>;
  try {
    decoded = Y.decodeUpdate(update);
  } catch (error) {
    throw new FieldbookError('update_malformed', `An update of ${name} cannot be decoded.`, { cause: error });
  }
  if (decoded.structs.length > LIMITS.updateStructs) {
    throw new FieldbookError(
      'update_too_large',
      `An update of ${name} has ${decoded.structs.length} parts; the limit is ${LIMITS.updateStructs}.`,
    );
  }
  const next = new Map<number, number>();
  for (const struct of decoded.structs) {
    const { client, clock } = struct.id;
    const expected = next.get(client);
    if (struct instanceof Y.Skip || clock > (expected ?? stateOf(client))) {
      throw new FieldbookError('missing_dependency', `An update of ${name} needs changes that have not arrived.`);
    }
    next.set(client, clock + struct.length);
    // In flat maps of bytes Yjs itself never makes one; a forged one hides its victim's later changes.
    if (struct instanceof Y.GC) throw forbidden(name, 'a GC struct');
    const { content } = struct as Y.Item;
    // Decoded structs name a top-level parent by its name; the declared type speaks of integrated ones.
    const parent = (struct as Y.Item).parent as unknown;
    if (content instanceof Y.ContentBinary) {
      if (typeof parent === 'string' && ruleOf(schema, parent) === undefined)
        throw forbidden(name, `a map "${parent.slice(0, 40)}"`);
    } else if (!(content instanceof Y.ContentDeleted)) {
      throw forbidden(name, `${content?.constructor.name ?? 'nothing'} where only byte records may be`);
    }
  }
}

/**
 * What can only be said once an update is applied: that the changed keys of immutable maps are new, and that every
 * changed value is a record that belongs under its key. Throws `record_immutable`, `record_malformed`,
 * `record_too_large`, `update_forbidden_content`; the caller must then throw the document away.
 */
export function inspectTransaction(name: DocumentName, doc: Y.Doc, transaction: Y.Transaction): void {
  const schema = schemaOf(name);
  for (const [type, keys] of transaction.changed) {
    const map = mapNameOf(doc, type);
    const rule = map === undefined ? undefined : ruleOf(schema, map);
    if (map === undefined || rule === undefined) throw forbidden(name, 'a shared type that it may not hold');
    for (const key of keys) {
      if (key === null) throw forbidden(name, `list content in "${map}"`);
      const item = type._map.get(key);
      if (item === undefined) continue;
      inspectKey(name, map, rule, key, item, transaction);
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
  if (rule.immutable) {
    if (item.deleted)
      throw new FieldbookError('record_immutable', `An update of ${name} deletes a record of "${map}".`);
    // The item to the left is what the key held before. One that was here must have had the same bytes; one that
    // arrives together with its successor, deleted and emptied, was compared where both were made.
    const before = item.left;
    const wasHere = before !== null && before.id.clock < (transaction.beforeState.get(before.id.client) ?? 0);
    if (before !== null && (wasHere || before.content instanceof Y.ContentBinary) && !sameBytes(before, item)) {
      throw new FieldbookError('record_immutable', `An update of ${name} changes a record of "${map}".`);
    }
  }
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
    fits = rule.fits(key, value);
  } catch (error) {
    if (isFieldbookError(error)) throw error;
    throw new FieldbookError('record_malformed', `An update of ${name} holds a broken record.`, { cause: error });
  }
  if (!fits) throw forbidden(name, `a record of "${map}" under a key that is not its own`);
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

function forbidden(name: DocumentName, what: string): FieldbookError {
  return new FieldbookError('update_forbidden_content', `An update of ${name} holds ${what}.`);
}
