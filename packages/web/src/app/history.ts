import { hlcMs } from '@fieldbook/core';
import type { RunState, WriterState } from '@fieldbook/core/fold';
import type { AttributeValue, Edit } from '@fieldbook/core/record';
import { sameAttribute } from '@fieldbook/core/record';

/** Edits of a note without a pause longer than this are one sitting. */
const SITTING_MS = 10 * 60_000;
/** Tags that one person sets or takes off together. */
const TOGETHER_MS = 3_000;

/** One line of a history: edits that belong together, or a process that started or ended. */
export interface HistoryLine {
  key: string;
  /** ms since the epoch of its last edit. */
  at: number;
  who: string;
  /** Oldest first; empty for a process. */
  edits: Edit[];
  process: { writer: WriterState; what: 'started' | 'ended' } | null;
}

export interface HistoryFilter {
  who: string | null;
  /** A field, or `attribute:<path>`. */
  what: string | null;
}

/** What an edit changed, as it is named in addresses: a field, or `attribute:<path>`. */
export function registerOf({ field, path }: Pick<Edit, 'field' | 'path'>): string {
  return field === 'attribute' ? `attribute:${path}` : field;
}

export function whoOf(edit: Pick<Edit, 'by'>): string {
  return edit.by || 'somebody';
}

/** The lines of a run's history, the newest first. */
export function linesOf(
  history: readonly Edit[],
  writers: readonly WriterState[],
  filter: HistoryFilter,
): HistoryLine[] {
  const lines: HistoryLine[] = [];
  for (const edit of history) {
    if (filter.who !== null && whoOf(edit) !== filter.who) continue;
    if (filter.what !== null && registerOf(edit) !== filter.what) continue;
    const last = lines.at(-1);
    const at = hlcMs(edit.at);
    if (last !== undefined && belongs(last, edit, at)) {
      last.edits.push(edit);
      last.at = at;
    } else lines.push({ key: edit.id, at, who: whoOf(edit), edits: [edit], process: null });
  }
  for (const writer of filter.what === null ? writers : []) {
    const who = writer.user ?? 'the script';
    if (filter.who !== null && filter.who !== who) continue;
    const { created, ended } = writer;
    lines.push({ key: `${writer.writer}+`, at: created, who, edits: [], process: { writer, what: 'started' } });
    if (ended !== null)
      lines.push({ key: `${writer.writer}-`, at: ended, who, edits: [], process: { writer, what: 'ended' } });
  }
  return lines.sort((a, b) => b.at - a.at);
}

function belongs(line: HistoryLine, edit: Edit, at: number): boolean {
  const last = line.edits.at(-1)!;
  if (last.field !== edit.field || last.by !== edit.by || last.device !== edit.device) return false;
  if (edit.field === 'notes') return at - line.at <= SITTING_MS;
  return edit.field === 'tags' && last.op === edit.op && at - line.at <= TOGETHER_MS;
}

/** What a line says of attributes: what the script says under what people edited. */
export type Scripted = Pick<RunState, 'attributes' | 'edited'>;

/**
 * What the author of a line saw before it: of an attribute that nobody had edited, or whose edits had been taken back,
 * what the script says. Undefined when nobody had said anything, null when it was removed.
 */
export function valueBefore(
  { edits }: HistoryLine,
  history: readonly Edit[],
  state: Scripted,
): AttributeValue | undefined {
  const [first] = edits;
  if (first === undefined) return undefined;
  const seen = first.base[0];
  if (seen === undefined) return scriptedOf(first, state);
  const base = history.find(({ id }) => id === seen);
  return base?.op === 'clear' ? scriptedOf(first, state) : base?.value;
}

/** What a line made of it: of an attribute whose edits were taken back, what the script says. */
export function valueAfter({ edits }: HistoryLine, state: Scripted): AttributeValue | undefined {
  const last = edits.at(-1);
  if (last === undefined || last.op === 'remove') return undefined;
  return last.op === 'clear' ? scriptedOf(last, state) : last.value;
}

/** Undefined of what no script says, and of what is no attribute. */
function scriptedOf({ field, path }: Edit, { attributes, edited }: Scripted): AttributeValue | undefined {
  if (field !== 'attribute' || path === null) return undefined;
  const edit = edited.get(path);
  return edit === undefined ? attributes.get(path) : edit.scripted;
}

export interface Difference {
  what: string;
  was: string;
  is: string;
}

/** What differs between a run as it was and as it is, in words. */
export function differences(then: RunState, now: RunState, words: (value: AttributeValue) => string): Difference[] {
  const found: Difference[] = [];
  const compare = (what: string, a: string, b: string): void => {
    if (a !== b) found.push({ what, was: a, is: b });
  };
  compare('Name', then.unnamed ? '' : then.name, now.unnamed ? '' : now.name);
  compare('Status', then.status, now.status);
  compare('Group', then.group ?? '', now.group ?? '');
  compare('Tags', then.tags.join(', '), now.tags.join(', '));
  compare('Notes', then.notes, now.notes);
  for (const field of ['star', 'archived', 'trashed'] as const)
    compare(
      field === 'star' ? 'Star' : field === 'archived' ? 'Archive' : 'Trash',
      then[field] ? 'yes' : '',
      now[field] ? 'yes' : '',
    );
  for (const path of new Set([...then.attributes.keys(), ...now.attributes.keys()])) {
    const [a, b] = [then.attributes.get(path), now.attributes.get(path)];
    if (a !== undefined && b !== undefined && sameAttribute(a, b)) continue;
    found.push({ what: path, was: a === undefined ? '' : words(a), is: b === undefined ? '' : words(b) });
  }
  return found;
}
