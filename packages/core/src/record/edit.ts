import { FieldbookError } from '../errors.ts';
import type { Hlc } from '../hlc.ts';
import { parseHlc } from '../hlc.ts';
import type { AttributePath, DeviceId, EditId, RunId } from '../ids.ts';
import { parseDeviceId, parseEditId, parsePath, parseRunId, utf8Length } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { AttributeValue } from './attribute.ts';
import { decodeAttribute, encodeAttribute, isAttribute } from './attribute.ts';
import { isDigest } from './digest.ts';
import { FieldReader } from './fields.ts';
import type { Value, ValueObject } from './value.ts';
import { decodeRecord, encodeRecord } from './value.ts';

/** Fields with one value. `trashed` and `archived` are switches; `star` too. */
export const REGISTER_FIELDS = ['name', 'group', 'notes', 'star', 'archived', 'trashed'] as const;
export type RegisterField = (typeof REGISTER_FIELDS)[number];
/** What a person can change on a run. `tags` is a set; `purge` says for ever that the run is gone; `attribute` is a register per path. */
export type EditField = RegisterField | 'tags' | 'purge' | 'attribute' | 'request';
/** Names a register of a run: a field with one value, or the attribute at a path. */
export type RegisterName = RegisterField | `attribute:${string}`;
/** The register of the attribute at `path`. */
export function attributeRegister(path: AttributePath): RegisterName {
  return `attribute:${path}`;
}

/**
 * What an edit may name as seen: an edit, or `@<writer>` for what a writer's card says (its initial name or tags).
 */
export type BaseId = EditId | `@${string}`;

export type EditOperation = 'set' | 'add' | 'remove' | 'clear';

/**
 * A person's change to one run: immutable, kept for ever under its id.
 * Register fields use `set` (value null clears back to what the script said); tags use `add` and `remove` with the
 * tag as value; purge uses `set` with true. An attribute uses `set` with what an attribute can be, `remove` to show none,
 * and `clear` to go back to what the script said, both with null.
 */
export interface Edit {
  id: EditId;
  run: RunId;
  /** A field of a newer version is kept and ignored by the fold. */
  field: EditField | (string & {});
  op: EditOperation | (string & {});
  /** Which attribute, with the field `attribute`; null with every other. */
  path: AttributePath | null;
  value: AttributeValue;
  /** All that the author saw in force when making it: heads of the register, adds of the tag. */
  base: readonly BaseId[];
  /** A person's public name. */
  by: string;
  device: DeviceId;
  at: Hlc;
  /** Ed25519 over the record without this field; not required yet. */
  signature: Uint8Array | null;
  extra: ValueObject;
}

const KNOWN = new Set(['k', 'i', 'r', 'p', 'f', 'o', 'v', 'b', 'y', 'd', 'h', 'S']);

/** Fields that this program does not know may have a `p` of their own. */
const KNOWN_WITHOUT_PATH = new Set([...KNOWN].filter((key) => key !== 'p'));

/** Bytes of an edit. Throws `invalid_value` or `record_too_large` when it could not be read back. */
export function encodeEdit(edit: Edit): Uint8Array {
  checkEdit(edit);
  const bytes = encodeRecord({
    ...edit.extra,
    k: 'edit',
    i: edit.id,
    r: edit.run,
    ...(edit.path === null ? {} : { p: edit.path }),
    f: edit.field,
    o: edit.op,
    v: encodeAttribute(edit.value),
    b: edit.base.length === 0 ? undefined : [...edit.base],
    y: edit.by,
    d: edit.device,
    h: edit.at,
    S: edit.signature ?? undefined,
  });
  if (bytes.length > LIMITS.editBytes) {
    throw new FieldbookError(
      'record_too_large',
      `The edit has ${bytes.length} bytes; the limit is ${LIMITS.editBytes}.`,
    );
  }
  return bytes;
}

/** An edit from its bytes; undefined for a kind or version that this program does not know. Throws `record_malformed`, `record_too_large`. */
export function decodeEdit(bytes: Uint8Array): Edit | undefined {
  const object = decodeRecord(bytes, LIMITS.editBytes);
  if (object === undefined || object.k !== 'edit') return undefined;
  const fields = new FieldReader(object, 'An edit');
  const field = fields.string('f', 64);
  const isOfAttribute = field === 'attribute';
  const edit: Edit = {
    id: fields.id('i', parseEditId),
    run: fields.id('r', parseRunId),
    field,
    op: fields.string('o', 16),
    path: isOfAttribute ? fields.id('p', parsePath) : null,
    value: isOfAttribute ? decodeAttribute(fields.value('v')) : scalar(fields.value('v')),
    base: fields.strings('b', LIMITS.baseCount, 64) as BaseId[],
    by: fields.string('y', LIMITS.nameBytes),
    device: fields.id('d', parseDeviceId),
    at: fields.id('h', parseHlc),
    signature: fields.bytes('S'),
    extra: fields.rest(isOfAttribute ? KNOWN : KNOWN_WITHOUT_PATH),
  };
  try {
    checkEdit(edit);
  } catch (error) {
    throw new FieldbookError('record_malformed', 'An edit has a value that its field cannot hold.', { cause: error });
  }
  return edit;
}

/** Throws `invalid_value` when the value does not fit the field. Fields of newer versions pass. */
function checkEdit(edit: Edit): void {
  const { field, op, value } = edit;
  const fits = (): boolean => {
    switch (field) {
      case 'name':
      case 'group':
        return op === 'set' && (value === null || (typeof value === 'string' && utf8Length(value) <= LIMITS.nameBytes));
      case 'notes':
        return (
          op === 'set' && (value === null || (typeof value === 'string' && utf8Length(value) <= LIMITS.notesBytes))
        );
      case 'star':
      case 'archived':
      case 'trashed':
        return op === 'set' && (value === null || typeof value === 'boolean');
      case 'tags':
        return (op === 'add' || op === 'remove') && typeof value === 'string' && isTag(value);
      case 'purge':
        return op === 'set' && value === true;
      case 'attribute':
        return edit.path !== null && isPath(edit.path) && isAttributeChange(op, value);
      case 'request':
        return op === 'add' && isDigest(value);
      default:
        return true;
    }
  };
  if (edit.base.length > LIMITS.baseCount) {
    throw new FieldbookError('invalid_value', `An edit can name at most ${LIMITS.baseCount} others.`);
  }
  if (!fits()) {
    throw new FieldbookError(
      'invalid_value',
      `${JSON.stringify(value)?.slice(0, 80)} cannot be ${op === 'set' ? 'set as' : op === 'add' ? 'added to' : 'removed from'} "${edit.path === null ? field : `${field} ${edit.path}`}".`,
    );
  }
}

function isPath(text: string): boolean {
  try {
    return parsePath(text) === text;
  } catch {
    return false;
  }
}

/** Operations of newer versions pass: the fold ignores them. */
function isAttributeChange(op: string, value: AttributeValue): boolean {
  if (op === 'remove' || op === 'clear') return value === null;
  return op === 'set' ? isAttribute(value) : true;
}

/** A tag: 1 to 128 bytes, no control characters, no spaces around. */
export function isTag(text: string): boolean {
  return (
    text.length > 0 &&
    utf8Length(text) <= LIMITS.tagBytes &&
    text.trim() === text &&
    !/[\u0000-\u001f\u007f]/.test(text)
  );
}

function scalar(value: Value): string | boolean | number | null {
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return value;
  return null;
}
