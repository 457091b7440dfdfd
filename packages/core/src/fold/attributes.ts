import type { AttributePath } from '../ids.ts';
import type { AttributeValue, BaseId, Edit, RegisterName } from '../record/index.ts';
import { attributeRegister, sameAttribute } from '../record/index.ts';
import { compare, headsOf } from './register.ts';
import type { Conflict, EditedAttribute } from './state.ts';

/** Attributes as people's edits leave them. */
export interface EditedAttributes {
  attributes: ReadonlyMap<AttributePath, AttributeValue>;
  edited: ReadonlyMap<AttributePath, EditedAttribute>;
  conflicts: Conflict[];
  heads: Partial<Record<RegisterName, readonly BaseId[]>>;
}

const OPERATIONS: ReadonlySet<string> = new Set(['set', 'remove', 'clear']);

/** Whether an edit says something of an attribute that this version understands. */
export function isAttributeEdit(
  edit: Edit,
): edit is Edit & { path: AttributePath; op: EditedAttribute['op'] | 'clear' } {
  return edit.field === 'attribute' && edit.path !== null && OPERATIONS.has(edit.op);
}

/** Puts edits over what the scripts said: a register per path, whose later head holds. */
export function editAttributes(
  scripted: ReadonlyMap<AttributePath, AttributeValue>,
  edits: readonly Edit[],
): EditedAttributes {
  const byPath = new Map<AttributePath, Edit[]>();
  for (const edit of edits) {
    if (!isAttributeEdit(edit)) continue;
    const list = byPath.get(edit.path);
    if (list === undefined) byPath.set(edit.path, [edit]);
    else list.push(edit);
  }
  const result = { attributes: scripted, edited: new Map(), conflicts: [], heads: {} } as EditedAttributes & {
    edited: Map<AttributePath, EditedAttribute>;
  };
  if (byPath.size === 0) return result;
  const attributes = new Map(scripted);
  for (const path of [...byPath.keys()].sort(compare)) {
    const heads = headsOf(byPath.get(path)!);
    const [first] = heads as [Edit];
    const register = attributeRegister(path);
    result.heads[register] = heads.map(({ id }) => id);
    if (heads.some((edit) => edit.op !== first.op || !sameAttribute(edit.value, first.value))) {
      result.conflicts.push({
        field: register,
        sides: heads.map(({ id: edit, op, value, by, device, at }) => ({ edit, op, value, by, device, at })),
      });
    }
    if (first.op === 'clear') continue;
    if (first.op === 'set') attributes.set(path, first.value);
    else attributes.delete(path);
    const { id: edit, by, device, at } = first;
    const op = first.op as EditedAttribute['op'];
    result.edited.set(path, { edit, op, by, device, at, scripted: scripted.get(path) });
  }
  return { ...result, attributes };
}
