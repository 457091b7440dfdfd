import { FieldbookError } from '../errors.ts';
import type { HybridClock } from '../hlc.ts';
import type { AttributePath, DeviceId, RunId } from '../ids.ts';
import { mintEditId, parsePath } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BlobDigest, Clock, Random } from '../ports.ts';
import { marked } from '../notes/mark.ts';
import type {
  AttributeValue,
  BaseId,
  Edit,
  EditField,
  EditOperation,
  RegisterField,
  RegisterName,
} from '../record/index.ts';
import { attributeRegister, isAttribute, isTag, REGISTER_FIELDS, sameAttribute } from '../record/index.ts';
import { isAttributeEdit } from './attributes.ts';
import { headsOf, tagAddsOf } from './register.ts';
import type { RunState } from './state.ts';

/** What somebody wants changed, before it is a record. */
export interface Change {
  field: EditField;
  op: EditOperation;
  /** Which attribute, with the field `attribute` only. */
  path?: AttributePath;
  value: AttributeValue;
  /** Of notes that were written in their text: which characters it had (`markOf`). */
  mark?: Uint8Array | null;
  /** Heads that the author has not seen through, and leaves to people. */
  unseen?: readonly string[];
}

/** Makes edits for one person on one device. */
export class Author {
  readonly device: DeviceId;
  readonly hybrid: HybridClock;
  readonly #clock: Clock;
  readonly #random: Random;
  #by: string;

  constructor(options: { device: DeviceId; by: string; hybrid: HybridClock; clock: Clock; random: Random }) {
    this.device = options.device;
    this.hybrid = options.hybrid;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#by = options.by;
  }

  get by(): string {
    return this.#by;
  }

  set by(name: string) {
    this.#by = name;
  }

  /**
   * The edit that makes `change` to a run in `state`, naming everything the author sees in force; null when the
   * change would change nothing. Throws `invalid_value` for a value that the field cannot hold or one tag too many.
   */
  edit(state: RunState, change: Change): Edit | null {
    const base = this.#base(state, change);
    if (base === null) return null;
    return {
      id: mintEditId(this.#clock, this.#random),
      run: state.id,
      field: change.field,
      op: change.op,
      path: change.path ?? null,
      value: change.value,
      base: base.slice(0, LIMITS.baseCount),
      by: this.#by,
      device: this.device,
      at: this.hybrid.tick(),
      signature: null,
      extra: change.mark === undefined ? {} : marked(change.mark),
    };
  }

  /** The edit that asks for a file of a run: whoever has the bytes sends them to the relay. */
  request(run: RunId, digest: BlobDigest): Edit {
    return {
      id: mintEditId(this.#clock, this.#random),
      run,
      field: 'request',
      op: 'add',
      path: null,
      value: digest,
      base: [],
      by: this.#by,
      device: this.device,
      at: this.hybrid.tick(),
      signature: null,
      extra: {},
    };
  }

  #base(state: RunState, change: Change): readonly BaseId[] | null {
    if (change.field === 'attribute') return attributeBase(state, change);
    if (change.path !== undefined)
      throw new FieldbookError('invalid_value', `"${change.field}" has no path; only an attribute has.`);
    if (change.field === 'tags') return tagBase(state, change);
    if (change.field === 'request') return [];
    if (change.op !== 'set') throw new FieldbookError('invalid_value', `"${change.field}" can only be set.`);
    if (change.field === 'purge') return state.purged ? null : [];
    const heads = (state.heads[change.field] ?? []).filter((head) => change.unseen?.includes(head) !== true);
    // Texts that were written on apart become one head again even where the last already says all.
    const isApart = change.mark !== undefined && heads.length > 1;
    const settled = !isApart && !state.conflicts.some((conflict) => conflict.field === change.field);
    return settled && sameAsNow(state, change) ? null : heads;
  }
}

function tagBase(state: RunState, change: Change): readonly BaseId[] | null {
  const tag = change.value;
  if (typeof tag !== 'string' || !isTag(tag)) {
    throw new FieldbookError(
      'invalid_value',
      `${JSON.stringify(tag)?.slice(0, 80)} cannot be a tag: use 1 to ${LIMITS.tagBytes} bytes on one line, without spaces around.`,
    );
  }
  const adds = state.tagAdds.get(tag);
  if (change.op === 'remove') return adds ?? null;
  if (adds !== undefined) return null;
  if (state.tags.length >= LIMITS.tagsPerRun) {
    throw new FieldbookError('invalid_value', `Run ${state.id} already has ${LIMITS.tagsPerRun} tags.`);
  }
  return [];
}

function attributeBase(state: RunState, { path, op, value }: Change): readonly BaseId[] | null {
  if (path === undefined) throw new FieldbookError('invalid_value', 'Say the path of the attribute to edit.');
  const register = attributeRegister(path);
  const heads = state.heads[register] ?? [];
  const settled = !state.conflicts.some((conflict) => conflict.field === register);
  const shown = state.attributes.get(path);
  switch (op) {
    case 'set':
      if (!isAttribute(value)) {
        throw new FieldbookError(
          'invalid_value',
          `Attribute ${path} cannot be set to ${(JSON.stringify(value) ?? 'that').slice(0, 80)}: use a number, true or false, null, a time, a text of at most ${LIMITS.attributeValueBytes} bytes or a list of at most ${LIMITS.attributeTexts} texts.`,
        );
      }
      if (settled && shown !== undefined && sameAttribute(shown, value)) return null;
      break;
    case 'remove':
      if (settled && shown === undefined) return null;
      break;
    case 'clear':
      if (settled && !state.edited.has(path)) return null;
      break;
    default:
      throw new FieldbookError('invalid_value', 'An attribute can be set, removed and cleared.');
  }
  if (op !== 'set' && value !== null)
    throw new FieldbookError('invalid_value', `To ${op} attribute ${path} takes no value.`);
  if (heads.length === 0 && editedPaths(state) >= LIMITS.editedAttributes) {
    throw new FieldbookError(
      'invalid_value',
      `Run ${state.id} already has ${LIMITS.editedAttributes} edited attributes.`,
    );
  }
  return heads;
}

function editedPaths(state: RunState): number {
  let count = 0;
  for (const register of Object.keys(state.heads)) if (register.startsWith('attribute:')) count += 1;
  return count;
}

function sameAsNow(state: RunState, change: Change): boolean {
  const empty = change.value === null || change.value === '';
  switch (change.field) {
    case 'name':
      return empty ? state.unnamed : !state.unnamed && state.name === change.value;
    case 'group':
      return empty ? state.group === null : state.group === change.value;
    case 'notes':
      return (change.value ?? '') === state.notes;
    case 'star':
    case 'archived':
    case 'trashed':
      return (change.value === true) === state[change.field];
    default:
      return false;
  }
}

/** The change that makes `side` what a register says: how a conflict is settled by one of its sides. */
export function changeOf(register: RegisterName, { op, value }: { op: string; value: AttributeValue }): Change {
  return register.startsWith('attribute:')
    ? { field: 'attribute', path: parsePath(register.slice('attribute:'.length)), op: op as EditOperation, value }
    : { field: register as RegisterField, op: 'set', value };
}

/**
 * The change that takes an edit back: for a register, the value in force without it; for a tag, the opposite.
 * Null when the edit no longer holds (somebody changed the field since) or cannot be undone (purge). With `together`, edits
 * that are taken back as one: of a register all of them.
 */
export function undoOf(
  edit: Edit,
  history: readonly Edit[],
  together: ReadonlySet<string> = new Set([edit.id]),
): Change | null {
  if (edit.field === 'tags' && typeof edit.value === 'string') {
    const adds = tagAddsOf(history, new Map()).get(edit.value);
    if (edit.op === 'add')
      return adds?.includes(edit.id) === true ? { field: 'tags', op: 'remove', value: edit.value } : null;
    return adds === undefined ? { field: 'tags', op: 'add', value: edit.value } : null;
  }
  const isAttribute = isAttributeEdit(edit);
  if (!isAttribute && !(REGISTER_FIELDS as readonly string[]).includes(edit.field)) return null;
  const same = history.filter((other) =>
    isAttribute ? isAttributeEdit(other) && other.path === edit.path : other.field === edit.field,
  );
  const [holds] = headsOf(same);
  if (holds === undefined || !together.has(holds.id)) return null;
  const [before] = headsOf(same.filter((other) => !together.has(other.id)));
  if (isAttribute) {
    const { op, value } = before ?? { op: 'clear', value: null };
    return { field: 'attribute', path: edit.path, op: op as EditOperation, value };
  }
  const value = before?.value ?? null;
  return { field: edit.field as RegisterField, op: 'set', value: typeof value === 'number' ? null : value };
}
