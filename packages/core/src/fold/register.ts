import type { BaseId, Edit } from '../record/index.ts';

/** Total order of edits: clock, then device, then id. The later one holds where a single value must be shown. */
export function compareEdits(a: Edit, b: Edit): number {
  return compare(a.at, b.at) || compare(a.device, b.device) || compare(a.id, b.id);
}

/**
 * The heads of one register: edits that no other edit names as seen, the one in force first. One head is agreement;
 * several are changes made without knowledge of each other. The result depends on the set of edits alone, so it is
 * the same in whatever order they arrived and whichever bases have not arrived yet.
 */
export function headsOf(edits: readonly Edit[]): Edit[] {
  const seen = new Set<BaseId>();
  for (const edit of edits) for (const base of edit.base) if (base !== edit.id) seen.add(base);
  let heads = edits.filter((edit) => !seen.has(edit.id));
  // Only forged edits can name each other in a circle; then nobody has seen anybody.
  if (heads.length === 0) heads = [...edits];
  return heads.sort((a, b) => compareEdits(b, a));
}

/**
 * The adds of each tag that hold: adds (and what cards say, as `@<writer>`) that no remove of the same tag names as
 * seen. A remove therefore never undoes an add that its author did not know: add wins over a concurrent remove.
 */
export function tagAddsOf(
  edits: readonly Edit[],
  scripted: ReadonlyMap<string, readonly BaseId[]>,
): Map<string, BaseId[]> {
  const adds = new Map<string, BaseId[]>();
  for (const [tag, ids] of scripted) adds.set(tag, [...ids]);
  const removed = new Map<string, Set<BaseId>>();
  for (const edit of edits) {
    if (edit.field !== 'tags' || typeof edit.value !== 'string') continue;
    if (edit.op === 'add') {
      const ids = adds.get(edit.value);
      if (ids === undefined) adds.set(edit.value, [edit.id]);
      else ids.push(edit.id);
    } else if (edit.op === 'remove') {
      const ids = removed.get(edit.value) ?? new Set();
      for (const base of edit.base) ids.add(base);
      removed.set(edit.value, ids);
    }
  }
  for (const [tag, ids] of adds) {
    const gone = removed.get(tag);
    const live = gone === undefined ? ids : ids.filter((id) => !gone.has(id));
    if (live.length === 0) adds.delete(tag);
    else adds.set(tag, live.sort());
  }
  return adds;
}

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
