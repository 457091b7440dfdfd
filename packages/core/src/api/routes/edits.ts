import { Book } from '../../documents/index.ts';
import { FieldbookError } from '../../errors.ts';
import type { Change, RunState } from '../../fold/index.ts';
import type { RunId } from '../../ids.ts';
import { bookName, monthOf, parseEditId, parsePath } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import type { AttributeValue, BaseId, Edit, RegisterField } from '../../record/index.ts';
import { attributeRegister, REGISTER_FIELDS, sameAttribute } from '../../record/index.ts';
import type { ApiContext } from '../context.ts';
import type { Access } from '../http.ts';
import { json } from '../http.ts';
import type { Call, Route } from '../route.ts';
import type { Schema } from '../schema.ts';
import { array, invalid, object, orNull, ref } from '../schema.ts';
import { editView, runView } from '../views.ts';
import { IN_PROJECT, RUN } from './runs.ts';

/** One request is one click or one command: some tags, a name, a note, at most every attribute that a run can have edited. */
const EDITS_MAX = LIMITS.editedAttributes;

/** A value as JSON can say it: a number that JSON lacks is wrapped, because a string of its name is a text. */
type AskedValue = AttributeValue | { number: 'NaN' | 'Infinity' | '-Infinity' };

interface Asked extends Omit<Change, 'value' | 'path'> {
  value?: AskedValue;
  path?: string;
  id?: string;
  base?: string[];
}

const asked: Schema = object(
  {
    field: { type: 'string', enum: [...REGISTER_FIELDS, 'tags', 'purge', 'attribute'] },
    op: {
      type: 'string',
      enum: ['set', 'add', 'remove', 'clear'],
      description:
        '`add` and `remove` for tags; `set`, `remove` and `clear` (back to what the script said) for attributes; `set` for all else.',
    },
    path: { type: 'string', description: 'Of the attribute, with the field `attribute` only.' },
    value: {
      description:
        'What the field is set to, the tag, or what an attribute can be; NaN and infinities as {"number": "NaN"}. Null clears a field back to what the script said; an attribute it sets to null. Left out with `remove` and `clear` of an attribute.',
      anyOf: [
        { type: ['string', 'number', 'boolean', 'null'] },
        array({ type: 'string' }),
        object({ time: { type: 'number', description: 'ms since the epoch' } }),
        object({ number: { type: 'string', enum: ['NaN', 'Infinity', '-Infinity'] } }),
      ],
    },
    id: {
      type: 'string',
      description: 'The edit’s id, minted by the caller; sending the same one again changes nothing.',
    },
    base: {
      ...array({ type: 'string' }),
      maxItems: LIMITS.baseCount,
      description: 'What the author saw in force; without it, what is in force now.',
    },
  },
  ['path', 'value', 'id', 'base'],
);

export function editRoutes(context: ApiContext): Route[] {
  return [
    {
      id: 'editRun',
      method: 'POST',
      path: '/runs/{run}/edits',
      summary: 'Change a run: tags, name, notes, group, star, archive, trash, purge, attributes',
      needs: 'contributor',
      inPath: { run: RUN },
      inQuery: { project: IN_PROJECT },
      body: {
        description: 'Made in order; all or none.',
        schema: { ...array(asked), minItems: 1, maxItems: EDITS_MAX },
      },
      answers: [
        {
          status: 200,
          description: 'The run after it, durable. Per change the edit that was made, or null when it changed nothing.',
          schema: object({ run: ref('Run'), edits: array(orNull(ref('Edit'))) }),
        },
      ],
      handle: (call) => context.inTurn(() => editRun(context, call)),
    },
  ];
}

async function editRun(context: ApiContext, { path, query, body, request }: Call): ReturnType<Route['handle']> {
  const { library, author, replica } = context;
  const before = await context.findRun(path['run']!, query['project'] as string | undefined);
  checkEdit(request.access, before.id);
  const history = await library.history(before.project, before.id);
  const known = new Map(history.map((edit) => [edit.id, edit]));
  // What the author has seen comes before what the author now says, whoever's clock is right.
  for (const edit of history) author.hybrid.observe(edit.at);
  let state = before;
  const fresh: Edit[] = [];
  const edits = (body as Asked[]).map((asked) => {
    const change = changeOfAsked(asked);
    const id = asked.id === undefined ? undefined : parseEditId(asked.id);
    const repeated = id === undefined ? undefined : known.get(id);
    if (repeated !== undefined) return sameEdit(repeated, change);
    const made = author.edit(state, change);
    if (made === null) return null;
    const edit: Edit = {
      ...made,
      id: id ?? made.id,
      by: request.access.name ?? made.by,
      base: asked.base === undefined ? made.base : asked.base.map(parseBase),
    };
    known.set(edit.id, edit);
    fresh.push(edit);
    state = seen(state, edit);
    return edit;
  });
  if (fresh.length > 0) {
    const name = bookName(before.project, monthOf(before.created));
    await replica.transact(name, (doc) => {
      const book = new Book(doc);
      for (const edit of fresh) book.addEdit(edit);
    });
  }
  const after = (await library.run(before.project, before.id)) ?? before;
  return json(200, { run: runView(after), edits: edits.map((edit) => (edit === null ? null : editView(edit))) });
}

/** Throws `forbidden` for a run that whoever asks may not change: of contributors all but their own. */
export function checkEdit({ gate }: Access, run: RunId): void {
  if (gate !== undefined && !gate.mayEdit(run))
    throw new FieldbookError('forbidden', `Run ${run} is another device's; a contributor changes its own runs only.`);
}

function changeOfAsked({ field, op, path, value }: Asked): Change {
  const wrapped = typeof value === 'object' && value !== null && 'number' in value ? Number(value.number) : value;
  if (wrapped === undefined && (field !== 'attribute' || op === 'set' || op === 'add'))
    throw invalid('value', 'is missing');
  return { field, op, value: wrapped ?? null, ...(path === undefined ? {} : { path: parsePath(path) }) };
}

/** Throws when an id comes again with something else to say. */
function sameEdit(edit: Edit, change: Change): Edit {
  const same =
    edit.field === change.field &&
    edit.op === change.op &&
    edit.path === (change.path ?? null) &&
    sameAttribute(edit.value, change.value);
  if (same) return edit;
  throw new FieldbookError(
    'record_immutable',
    `Edit ${edit.id} exists and says something else; an edit cannot be changed.`,
  );
}

function parseBase(text: string): BaseId {
  if (!/^@[A-Za-z0-9._-]{1,64}$/.test(text)) parseEditId(text);
  return text as BaseId;
}

/** What the author of `edit` sees: enough of the fold for the next edit of the same request. */
function seen(state: RunState, edit: Edit): RunState {
  if (edit.field === 'tags') {
    const tagAdds = new Map(state.tagAdds);
    const tag = edit.value as string;
    if (edit.op === 'add') tagAdds.set(tag, [edit.id]);
    else tagAdds.delete(tag);
    return { ...state, tagAdds, tags: [...tagAdds.keys()].sort() };
  }
  if (edit.field === 'purge') return { ...state, purged: true };
  if (edit.field === 'attribute') return attributeSeen(state, edit);
  const field = edit.field as RegisterField;
  const value = field === 'notes' ? (edit.value ?? '') : field === 'name' ? (edit.value ?? state.id) : edit.value;
  return {
    ...state,
    [field]: value,
    unnamed: field === 'name' ? edit.value === null || edit.value === '' : state.unnamed,
    heads: { ...state.heads, [field]: [edit.id] },
    conflicts: state.conflicts.filter((conflict) => conflict.field !== field),
  };
}

function attributeSeen(state: RunState, edit: Edit): RunState {
  const path = edit.path!;
  const register = attributeRegister(path);
  const attributes = new Map(state.attributes);
  const edited = new Map(state.edited);
  const scripted = state.edited.has(path) ? state.edited.get(path)!.scripted : state.attributes.get(path);
  const shown = edit.op === 'set' ? edit.value : edit.op === 'clear' ? scripted : undefined;
  if (shown === undefined) attributes.delete(path);
  else attributes.set(path, shown);
  if (edit.op === 'clear') edited.delete(path);
  else {
    const { id, by, device, at } = edit;
    edited.set(path, { edit: id, op: edit.op === 'set' ? 'set' : 'remove', by, device, at, scripted });
  }
  return {
    ...state,
    attributes,
    edited,
    heads: { ...state.heads, [register]: [edit.id] },
    conflicts: state.conflicts.filter((conflict) => conflict.field !== register),
  };
}
