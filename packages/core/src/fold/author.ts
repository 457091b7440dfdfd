import { FieldbookError } from '../errors.ts';
import type { HybridClock } from '../hlc.ts';
import type { DeviceId } from '../ids.ts';
import { mintEditId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { Clock, Random } from '../ports.ts';
import type { BaseId, Edit, EditField, RegisterField } from '../record/index.ts';
import { isTag, REGISTER_FIELDS } from '../record/index.ts';
import { headsOf, tagAddsOf } from './register.ts';
import type { RunState } from './state.ts';

/** What somebody wants changed, before it is a record. */
export interface Change {
  field: EditField;
  op: 'set' | 'add' | 'remove';
  value: string | boolean | null;
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
      value: change.value,
      base: base.slice(0, LIMITS.baseCount),
      by: this.#by,
      device: this.device,
      at: this.hybrid.tick(),
      signature: null,
      extra: {},
    };
  }

  #base(state: RunState, change: Change): readonly BaseId[] | null {
    if (change.field === 'tags') return tagBase(state, change);
    if (change.op !== 'set') throw new FieldbookError('invalid_value', `"${change.field}" can only be set.`);
    if (change.field === 'purge') return state.purged ? null : [];
    const heads = state.heads[change.field] ?? [];
    const settled = !state.conflicts.some((conflict) => conflict.field === change.field);
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

/**
 * The change that takes an edit back: for a register, the value in force without it; for a tag, the opposite.
 * Null when the edit no longer holds (somebody changed the field since) or cannot be undone (purge).
 */
export function undoOf(edit: Edit, history: readonly Edit[]): Change | null {
  if (edit.field === 'tags' && typeof edit.value === 'string') {
    const adds = tagAddsOf(history, new Map()).get(edit.value);
    if (edit.op === 'add')
      return adds?.includes(edit.id) === true ? { field: 'tags', op: 'remove', value: edit.value } : null;
    return adds === undefined ? { field: 'tags', op: 'add', value: edit.value } : null;
  }
  if (!(REGISTER_FIELDS as readonly string[]).includes(edit.field)) return null;
  const same = history.filter((other) => other.field === edit.field);
  if (headsOf(same)[0]?.id !== edit.id) return null;
  const before = same.filter((other) => other.id !== edit.id);
  const value = before.length === 0 ? null : headsOf(before)[0]!.value;
  return { field: edit.field as RegisterField, op: 'set', value: typeof value === 'number' ? null : value };
}
