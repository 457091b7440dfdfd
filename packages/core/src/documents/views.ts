import { hlcMs } from '../hlc.ts';
import type { ViewRecord } from '../record/index.ts';

/** A view of a project as people see it: the fold of all records about it. */
export interface SavedView {
  id: string;
  name: string;
  /** The search part of the project page's address. */
  search: string;
  /** The project opens with it. */
  usual: boolean;
  /** Who last changed what it shows, and when (ms since the epoch). */
  by: string;
  at: number;
}

type Said = 'name' | 'search' | 'removed';

/**
 * Views from their records in any order: of name, content and removal of each, and of the project's usual view, the
 * record with the highest (clock, device, key) holds. A view without a name or a content is one whose records have not
 * all arrived; it is not shown.
 */
export function foldViews(records: Iterable<readonly [key: string, record: ViewRecord]>): SavedView[] {
  const views = new Map<string, Partial<Record<Said, readonly [string, ViewRecord]>>>();
  let usual: readonly [string, ViewRecord] | undefined;
  for (const entry of records) {
    const [, record] = entry;
    const said = views.get(record.view) ?? {};
    views.set(record.view, said);
    for (const what of ['name', 'search', 'removed'] as const)
      if (record[what] !== null && isAfter(entry, said[what])) said[what] = entry;
    if (record.usual !== null && isAfter(entry, usual)) usual = entry;
  }
  const shown: SavedView[] = [];
  for (const [id, { name, search, removed }] of views) {
    if (name === undefined || search === undefined || removed?.[1].removed === true) continue;
    const { by, at } = search[1];
    shown.push({
      id,
      name: name[1].name!,
      search: search[1].search!,
      usual: usual?.[1].view === id && usual[1].usual === true,
      by,
      at: hlcMs(at),
    });
  }
  return shown.sort((a, b) => (a.name !== b.name ? (a.name < b.name ? -1 : 1) : a.id < b.id ? -1 : 1));
}

function isAfter(
  [key, { at, device }]: readonly [string, ViewRecord],
  other: readonly [string, ViewRecord] | undefined,
): boolean {
  if (other === undefined) return true;
  const [otherKey, { at: otherAt, device: otherDevice }] = other;
  if (at !== otherAt) return at > otherAt;
  if (device !== otherDevice) return device > otherDevice;
  return key > otherKey;
}
