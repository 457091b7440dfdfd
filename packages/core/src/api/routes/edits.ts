import { Book } from '../../documents/index.ts';
import { FieldbookError } from '../../errors.ts';
import type { Change, RunState } from '../../fold/index.ts';
import type { EditId } from '../../ids.ts';
import { bookName, monthOf, parseEditId } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import type { BaseId, Edit, RegisterField } from '../../record/index.ts';
import { REGISTER_FIELDS } from '../../record/index.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { Call, Route } from '../route.ts';
import type { Schema } from '../schema.ts';
import { array, object, orNull, ref } from '../schema.ts';
import { editView, runView } from '../views.ts';
import { IN_PROJECT, RUN } from './runs.ts';

/** One request is one click or one command: some tags, a name, a note. */
const EDITS_MAX = 256;

interface Asked extends Change {
  id?: string;
  base?: string[];
}

const asked: Schema = object(
  {
    field: { type: 'string', enum: [...REGISTER_FIELDS, 'tags', 'purge'] },
    op: {
      type: 'string',
      enum: ['set', 'add', 'remove'],
      description: '`add` and `remove` for tags, `set` for all else.',
    },
    value: { type: ['string', 'boolean', 'null'], description: 'null clears back to what the script said.' },
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
  ['id', 'base'],
);

export function editRoutes(context: ApiContext): Route[] {
  return [
    {
      id: 'editRun',
      method: 'POST',
      path: '/runs/{run}/edits',
      summary: 'Change a run: tags, name, notes, group, star, archive, trash, purge',
      needs: 'member',
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
  const history = await library.history(before.project, before.id);
  const known = new Map(history.map((edit) => [edit.id, edit]));
  // What the author has seen comes before what the author now says, whoever's clock is right.
  for (const edit of history) author.hybrid.observe(edit.at);
  let state = before;
  const fresh: Edit[] = [];
  const edits = (body as Asked[]).map((change) => {
    const id = change.id === undefined ? undefined : parseEditId(change.id);
    const repeated = id === undefined ? undefined : known.get(id);
    if (repeated !== undefined) return sameEdit(repeated, change);
    const made = author.edit(state, change);
    if (made === null) return null;
    const edit: Edit = {
      ...made,
      id: id ?? made.id,
      by: request.access.name ?? made.by,
      base: change.base === undefined ? made.base : change.base.map(parseBase),
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

/** Throws when an id comes again with something else to say. */
function sameEdit(edit: Edit, change: Asked): Edit {
  if (edit.field === change.field && edit.op === change.op && edit.value === change.value) return edit;
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
    if (edit.op === 'add') tagAdds.set(String(edit.value), [edit.id as EditId]);
    else tagAdds.delete(String(edit.value));
    return { ...state, tagAdds, tags: [...tagAdds.keys()].sort() };
  }
  if (edit.field === 'purge') return { ...state, purged: true };
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
