import { RUN_STATUSES } from '../record/index.ts';
import type { Path } from './ast.ts';

export type FieldKind = 'text' | 'status' | 'time' | 'duration' | 'flag' | 'list' | 'number';

/** What every run has, by the name that queries and columns use. */
export const FIELDS = {
  name: { kind: 'text', about: 'name, or the id while nobody named it' },
  id: { kind: 'text', about: 'id' },
  project: { kind: 'text', about: 'id of the project' },
  status: { kind: 'status', about: RUN_STATUSES.join(', ') },
  created: { kind: 'time', about: 'when it began' },
  updated: { kind: 'time', about: 'when something of it was last recorded' },
  ended: { kind: 'time', about: 'when it ended; missing while it runs' },
  duration: { kind: 'duration', about: 'how long it ran, or runs until now' },
  group: { kind: 'text', about: 'group' },
  user: { kind: 'text', about: 'who started it' },
  host: { kind: 'text', about: 'where it ran' },
  tags: { kind: 'list', about: 'tags' },
  notes: { kind: 'text', about: 'notes' },
  star: { kind: 'flag', about: 'starred' },
  archived: { kind: 'flag', about: 'put away' },
  trashed: { kind: 'flag', about: 'in the trash' },
  unnamed: { kind: 'flag', about: 'nobody gave it a name' },
  conflicted: { kind: 'flag', about: 'edits of it disagree' },
  writers: { kind: 'number', about: 'processes that wrote to it' },
} as const satisfies Record<string, { kind: FieldKind; about: string }>;

export type FieldName = keyof typeof FIELDS;

export const FIELD_NAMES = Object.keys(FIELDS) as FieldName[];

/** Other names that people try first. */
const ALIASES: ReadonlyMap<string, FieldName> = new Map([
  ['starred', 'star'],
  ['tag', 'tags'],
]);

/** The field of a name or an alias of it; undefined for any other text. */
export function fieldNamed(text: string): FieldName | undefined {
  if (Object.hasOwn(FIELDS, text)) return text as FieldName;
  return ALIASES.get(text);
}

/** The field that a path means: never one when it is quoted or scoped. */
export function fieldOf(path: Pick<Path, 'text' | 'quoted' | 'scope'>): FieldName | undefined {
  return path.quoted || path.scope !== 'any' ? undefined : fieldNamed(path.text);
}

export function kindOfField(field: FieldName): FieldKind {
  return FIELDS[field].kind;
}
