import type { FileLine } from '../../../worker/files-api.ts';
import type { Change } from './change.ts';

/** One thing that can be looked at on the Source tab. */
export interface SourceItem {
  /** In the address, as `?file=`. */
  id: string;
  /** As it is called where it came from. */
  path: string;
  section: 'changes' | 'untracked' | 'snapshot' | 'notebook' | 'config';
  /** Of a change. */
  change: Change | null;
  /** Of a stored file. */
  file: FileLine | null;
  /** The file that was started. */
  entry: boolean;
}

export const SECTIONS: Readonly<Record<SourceItem['section'], string>> = {
  changes: 'Uncommitted changes',
  untracked: 'Untracked files',
  notebook: 'Notebook',
  snapshot: 'Files kept',
  config: 'Configuration',
};

const PREFIXES: readonly (readonly [prefix: string, section: SourceItem['section']])[] = [
  ['source/untracked/', 'untracked'],
  ['source/files/', 'snapshot'],
  ['source/notebook', 'notebook'],
  ['config/', 'config'],
];

export const PATCH_PATH = 'source/diff.patch';

/** What there is to look at: changes of the patch first, then files by what they are. */
export function sourceItems(
  files: readonly FileLine[],
  changes: readonly Change[],
  entry: string | null,
): SourceItem[] {
  const items: SourceItem[] = changes.map((change) => ({
    id: `diff:${change.path}`,
    path: change.path,
    section: 'changes',
    change,
    file: null,
    entry: false,
  }));
  const current = files.filter(({ current: holds }) => holds).sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const file of current) {
    if (file.path === PATCH_PATH) continue;
    const found = PREFIXES.find(([prefix]) => file.path.startsWith(prefix));
    if (found === undefined) continue;
    const [prefix, section] = found;
    const path = section === 'notebook' ? file.path.slice('source/'.length) : file.path.slice(prefix.length);
    items.push({
      id: file.path,
      path,
      section,
      change: null,
      file,
      entry: entry !== null && (path === entry || entry.endsWith(`/${path}`)),
    });
  }
  const order = Object.keys(SECTIONS);
  return items.sort((a, b) => order.indexOf(a.section) - order.indexOf(b.section) || Number(b.entry) - Number(a.entry));
}

/** Cells of a notebook's script in the order in which they were executed: `# %% [n]` begins one. */
export function cellsOf(script: string): { number: string; text: string }[] {
  const cells: { number: string; text: string }[] = [];
  for (const piece of script.split(/^(?=# %% \[)/m)) {
    const head = /^# %% \[([^\]]*)\]\n?/.exec(piece);
    const text = piece.slice(head?.[0].length ?? 0).trimEnd();
    if (head !== null || text !== '') cells.push({ number: head?.[1] ?? '', text });
  }
  return cells;
}
