import type { MenuEntry } from '../../components/RowMenu.svelte';
import { count, cell as cellWords } from '../../app/format.ts';
import { trashKey } from '../../app/keys.ts';
import type { ShownColumn } from '../../state/columns.svelte.ts';
import { words } from '../../state/columns.svelte.ts';
import type { ProjectPage } from '../../state/projectpage.svelte.ts';
import { client } from '../../state/client.svelte.ts';
import type { Cell, Row, TermKind } from '../../worker/api.ts';
import { metricColumn, parseColumn } from '../../worker/columns.ts';
import type { GroupLine, Line } from '../../worker/groups-api.ts';
import { GROUP_SIZE } from '../../worker/groups-api.ts';

/** What a right click offers, on a run and, where it hit one, on a cell. */
export function lineEntries(page: ProjectPage, line: Line, column: ShownColumn | null): MenuEntry[] {
  const copy =
    column === null || column.asked === null
      ? []
      : [{ label: 'Copy the cell', key: 'Ctrl C', run: () => void page.edits.copyCell(line, column) }];
  if (line.kind === 'group') return [...copy, ...groupEntries(page, line, copy.length > 0)];
  const { row } = line;
  const value = column === null ? undefined : row.cells[page.columns.shown.indexOf(column)];
  const terms = column === null ? [] : termEntries(page, column, value);
  return [...terms, ...copy, ...rowEntries(page, row, column !== null)];
}

function termEntries(page: ProjectPage, column: ShownColumn, value: Cell): MenuEntry[] {
  const { asked } = column;
  if (asked === null) return [];
  const ask = (kind: TermKind) => async (): Promise<void> => {
    const term = await client.worker.term(page.id, asked, value, kind);
    if (term !== null) await page.refine(term);
  };
  const orders =
    (typeof value === 'number' && !Number.isNaN(value)) ||
    (typeof value === 'object' && value !== null && 'time' in value);
  const shown = cellWords(value, column.id, Date.now());
  const name = shown === '' ? 'nothing' : shown.length > 30 ? `${shown.slice(0, 29)}…` : shown;
  return [
    { label: `Only ${words(column.id)} ${name}`, run: () => void ask('only')() },
    { label: `Not ${name}`, run: () => void ask('not')() },
    ...(orders
      ? [
          { label: `Greater than ${name}`, run: () => void ask('above')() },
          { label: `Less than ${name}`, run: () => void ask('below')() },
        ]
      : []),
  ];
}

function rowEntries(page: ProjectPage, row: Row, apart: boolean): MenuEntry[] {
  const { edits } = page;
  const many = page.selection.has(row.id) && page.selection.size > 1;
  const of = many ? ` ${count(page.selection.size, 'run')}` : '';
  return [
    { label: 'Open', key: 'Enter', apart, run: () => page.openRun(row) },
    { label: 'Rename', key: 'F2', run: () => (edits.renaming = row.id) },
    { label: `Tag${of}`, key: 't', apart: true, run: () => void edits.ask('tags', row) },
    { label: many ? `Put${of} into a group` : 'Put into a group', key: 'g', run: () => void edits.ask('group', row) },
    { label: many ? `Set an attribute of${of}` : 'Set an attribute', run: () => void edits.ask('attribute', row) },
    { label: 'Write a note', key: 'n', run: () => edits.note(row) },
    { label: row.star ? 'Take the star off' : 'Star', key: 's', run: () => void edits.turn('star', row) },
    ...(many ? [{ label: `Compare${of}`, key: 'c', run: () => page.compare() }] : []),
    { label: 'Copy the id', apart: true, run: () => void edits.copy(row.id) },
    ...(many
      ? [
          { label: `Copy${of} as CSV`, run: () => void edits.copyRows('csv') },
          { label: `Copy${of} as Markdown`, run: () => void edits.copyRows('markdown') },
        ]
      : []),
    ...(row.trashed
      ? [
          { label: 'Restore', apart: true, run: () => void edits.turn('trashed', row) },
          { label: 'Purge for ever…', grave: true, run: () => void edits.ask('purge', row) },
        ]
      : [
          {
            label: row.archived ? 'Take out of the archive' : 'Archive',
            key: 'e',
            apart: true,
            run: () => void edits.turn('archived', row),
          },
          { label: 'Move to the trash', key: trashKey, grave: true, run: () => void edits.turn('trashed', row) },
        ]),
  ];
}

function groupEntries(page: ProjectPage, group: GroupLine, apart: boolean): MenuEntry[] {
  return [
    { label: group.open ? 'Close' : 'Open', key: group.open ? '←' : '→', apart, run: () => page.turnGroup(group) },
    { label: `Select its ${count(group.runs, 'run')}`, key: 'x', run: () => void page.selected.group(group) },
    {
      label: 'Only these runs',
      run: () =>
        void client.worker
          .term(page.id, group.column, group.key, 'only')
          .then((term) => (term === null ? undefined : page.refine(term))),
    },
    { label: 'Open all groups', apart: true, run: () => page.turnAllGroups(true) },
    { label: 'Close all groups', run: () => page.turnAllGroups(false) },
    { label: 'Do not group', run: () => page.groupBy([]) },
  ];
}

/** The menu of a column's head. */
export function columnEntries(page: ProjectPage, id: string): MenuEntry[] {
  const { columns } = page;
  const parsed = parseColumn(id);
  const shown = columns.shown.find((column) => column.id === id);
  if (parsed === undefined || shown === undefined) return [];
  const grouped = page.by.includes(id);
  const others =
    parsed.source !== 'metric'
      ? []
      : (['last', 'min', 'max', 'best', 'bestStep'] as const)
          .map((aggregate) => metricColumn(parsed.path, aggregate))
          .filter((each) => !columns.ids.includes(each));
  return [
    { label: 'Sort ascending', run: () => page.sortBy([{ column: id, descending: false }]) },
    { label: 'Sort descending', run: () => page.sortBy([{ column: id, descending: true }]) },
    {
      label: grouped ? 'Do not group by it' : page.by.length === 0 ? 'Group by it' : 'Group by it, too',
      apart: true,
      run: () => page.groupBy(grouped ? page.by.filter((each) => each !== id) : [...page.by, id]),
    },
    {
      label: 'Only runs that have it',
      run: () =>
        void client.worker
          .term(page.id, shown.asked ?? id, undefined, 'exists')
          .then((term) => (term === null ? undefined : page.refine(term))),
    },
    { label: shown.pinned ? 'Let it scroll' : 'Keep at the left', apart: true, run: () => columns.pin(id) },
    { label: 'Move left', key: 'Ctrl ←', run: () => columns.shift(id, -1) },
    { label: 'Move right', key: 'Ctrl →', run: () => columns.shift(id, 1) },
    { label: 'Wider', key: 'Shift →', run: () => columns.resize(id, shown.width + 32) },
    { label: 'Narrower', key: 'Shift ←', run: () => columns.resize(id, shown.width - 32) },
    ...others.map((each, at) => ({ label: `Show ${words(each)}`, apart: at === 0, run: () => columns.show(each) })),
    { label: 'Hide the column', apart: true, run: () => columns.toggle(id) },
    { label: 'Choose columns…', run: () => (page.edits.asked = { kind: 'columns' }) },
  ];
}

/** Saved views: open, save, rename, remove. */
export function viewEntries(page: ProjectPage): MenuEntry[] {
  const { views } = page;
  const { current } = views;
  return [
    { label: 'All runs', checked: current === null, run: () => views.leave() },
    ...views.list.map((view) => ({
      label: `${view.name}${view.usual ? ' · opens first' : ''}${view.id === current?.id && views.changed ? ' · changed' : ''}`,
      checked: view.id === current?.id,
      run: () => views.open(view),
    })),
    { label: 'Save as a new view…', apart: true, run: () => (page.edits.asked = { kind: 'save view' }) },
    ...(current === null
      ? []
      : [
          ...(views.changed
            ? [{ label: `Save the changes to ${current.name}`, run: () => void views.overwrite(current) }]
            : []),
          {
            label: `Rename ${current.name}…`,
            run: () => (page.edits.asked = { kind: 'rename view', view: current.id }),
          },
          {
            label: current.usual ? 'Do not open the project with it' : 'Open the project with it',
            run: () => void views.setUsual(current, !current.usual),
          },
          { label: `Remove ${current.name}`, grave: true, run: () => void views.remove(current) },
        ]),
  ];
}

/** What the table can be sorted by; a second choice of the same turns it round. */
export function sortEntries(page: ProjectPage): MenuEntry[] {
  const ids = ['name', ...(page.layout === null ? [] : [GROUP_SIZE]), ...page.columns.shown.map(({ id }) => id)];
  return ids.map((id) => {
    const key = page.sort.find(({ column }) => column === id);
    const order = key === undefined ? '' : key.descending ? ', descending' : ', ascending';
    const label = id === GROUP_SIZE ? 'Number of runs' : words(id);
    return { label: label + order, checked: key !== undefined, run: () => page.click(id, false) };
  });
}

/** What is done with the whole table. */
export function tableEntries(page: ProjectPage): MenuEntry[] {
  const { edits } = page;
  const some = page.selection.size > 0;
  const which = some ? count(page.selection.size, 'selected run') : 'all that match';
  return [
    { label: `Copy ${which} as CSV`, run: () => void edits.copyRows('csv') },
    { label: `Copy ${which} as Markdown`, run: () => void edits.copyRows('markdown') },
    { label: `Save ${which} as a CSV file`, run: () => void edits.exportRows() },
    { label: 'Manage tags…', apart: true, run: () => (edits.asked = { kind: 'manage tags' }) },
    { label: 'Select all that match', key: 'Ctrl A', run: () => void page.selected.all() },
  ];
}
