import type { AttributePath, RunId } from '@fieldbook/core';
import type { Change } from '@fieldbook/core/fold';
import type { AttributeValue } from '@fieldbook/core/record';
import { count } from '../app/format.ts';
import { copiedGroupText } from '../app/groupcell.ts';
import { isTrashKey } from '../app/keys.ts';
import type { TextFormat } from '../app/tabletext.ts';
import { copiedText, headOf, rowsOf, titleOf } from '../app/tabletext.ts';
import { valueWords } from '../app/words.ts';
import type { Row } from '../worker/api.ts';
import type { Line } from '../worker/groups-api.ts';
import { actions } from './actions.svelte.ts';
import { copyText } from './clipboard.ts';
import { client } from './client.svelte.ts';
import type { ShownColumn } from './columns.svelte.ts';
import { words } from './columns.svelte.ts';
import type { ProjectPage } from './projectpage.svelte.ts';

/** Which dialog is open. */
export type Asked =
  | { kind: 'tags' | 'purge'; rows: readonly Row[] }
  | { kind: 'attribute' | 'group'; rows: readonly Row[] }
  | { kind: 'columns' | 'grouping' | 'manage tags' | 'save view' | 'conflicts' }
  | { kind: 'rename view'; view: string }
  | { kind: 'notes'; row: Row }
  | null;

/** Cells asked for in one message of an export. */
const CELLS_AT_ONCE = 100_000;

/** What is done to runs of a project's page, to one or to all selected. */
export class ProjectEdits {
  readonly #page: ProjectPage;
  /** The run whose name is being typed. */
  renaming = $state<string | null>(null);
  asked = $state.raw<Asked>(null);

  constructor(page: ProjectPage) {
    this.#page = page;
  }

  /** The selected runs as rows, or the one given when it is not among them. */
  async targets(row: Row | null): Promise<readonly Row[]> {
    const { selection, id } = this.#page;
    if (row !== null && !selection.has(row.id)) return [row];
    return client.worker.rows(id, selection.ids as RunId[], []);
  }

  async ask(kind: 'tags' | 'purge' | 'attribute' | 'group', row: Row | null): Promise<void> {
    this.asked = { kind, rows: await this.targets(row) };
  }

  note(row: Row): void {
    this.asked = { kind: 'notes', row };
  }

  async rename(row: Row, name: string): Promise<void> {
    await this.#change(
      name === '' ? `Took the name of ${row.name} away` : `Renamed ${row.name} to ${name}`,
      [row],
      [{ field: 'name', op: 'set', value: name === '' ? null : name }],
    );
  }

  /** Turns a switch for all targets: on unless all of them have it. */
  async turn(field: 'star' | 'archived' | 'trashed', row: Row | null): Promise<void> {
    const targets = await this.targets(row);
    const on = !targets.every((each) => each[field]);
    const verbs = {
      star: ['Starred', 'Took the star off'],
      archived: ['Archived', 'Took out of the archive:'],
      trashed: ['Moved to the trash:', 'Restored'],
    } as const;
    const done = await this.#change((runs) => `${verbs[field][on ? 0 : 1]} ${whom(targets, runs)}`, targets, [
      { field, op: 'set', value: on },
    ]);
    if (done && field !== 'star') this.#page.selected.drop(targets);
  }

  async purge(rows: readonly Row[]): Promise<void> {
    const done = await this.#change((runs) => `Purged ${whom(rows, runs)}`, rows, [
      { field: 'purge', op: 'set', value: true },
    ]);
    if (done) this.#page.selected.drop(rows);
  }

  async setAttribute(rows: readonly Row[], path: AttributePath, value: AttributeValue): Promise<void> {
    await this.#change((runs) => `Set ${path} to ${valueWords(value)}: ${whom(rows, runs)}`, rows, [
      { field: 'attribute', op: 'set', path, value },
    ]);
  }

  async removeAttribute(rows: readonly Row[], path: AttributePath): Promise<void> {
    await this.#change((runs) => `Took ${path} off: ${whom(rows, runs)}`, rows, [
      { field: 'attribute', op: 'remove', path, value: null },
    ]);
  }

  async setGroup(rows: readonly Row[], group: string): Promise<void> {
    const value = group.trim() === '' ? null : group.trim();
    await this.#change(
      (runs) => `${value === null ? 'Took out of their group' : `Put into the group ${value}`}: ${whom(rows, runs)}`,
      rows,
      [{ field: 'group', op: 'set', value }],
    );
  }

  /** Renames a tag on every run of the project that has it, or joins it with another; null takes it off. One step to undo. */
  async retag(tag: string, to: string | null): Promise<void> {
    const { id } = this.#page;
    const runs = await client.worker.runsTagged(id, tag);
    const changes: Change[] = [{ field: 'tags', op: 'remove', value: tag }];
    if (to !== null) changes.unshift({ field: 'tags', op: 'add', value: to });
    const what = to === null ? `Took the tag ${tag} off` : `Renamed the tag ${tag} to ${to} on`;
    await actions.change((some) => `${what} ${count(some, 'run')}`, id, runs, changes);
  }

  filterByTag(tag: string): void {
    void this.#page.refine(`tags has ${JSON.stringify(tag)}`);
  }

  // ---- copying and exporting

  async copy(text: string): Promise<void> {
    try {
      await copyText(text);
      actions.say('Copied.');
    } catch {
      actions.say(
        'The browser did not let the page write to the clipboard. Click into the page and try again.',
        null,
        true,
      );
    }
  }

  /** A cell with all its digits: of a run, or what a group says of the column. */
  copyCell(line: Line, column: ShownColumn): Promise<void> {
    const { columns, summary } = this.#page;
    const place = columns.shown.indexOf(column);
    return this.copy(
      line.kind === 'run'
        ? copiedText(line.row.cells[place], column.id)
        : copiedGroupText(line.cells[place], column.id, summary),
    );
  }

  /** The selected runs, or all that match when none are, with the columns that are shown. */
  async copyRows(format: TextFormat): Promise<void> {
    const { selection } = this.#page;
    const text = await this.#text(format, selection.size > 0 ? (selection.ids as RunId[]) : null);
    if (text !== null) await this.copy(text);
  }

  async exportRows(): Promise<void> {
    const { id, selection } = this.#page;
    const text = await this.#text('csv', selection.size > 0 ? (selection.ids as RunId[]) : null);
    if (text === null) return;
    const link = document.createElement('a');
    // The mark that tells spreadsheets that this is UTF-8.
    link.href = URL.createObjectURL(new Blob(['\uFEFF', text], { type: 'text/csv;charset=utf-8' }));
    link.download = `${id}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  /** Null when somebody stopped it: half of the rows look like all of them. */
  async #text(format: TextFormat, runs: readonly RunId[] | null): Promise<string | null> {
    const { id, view, columns } = this.#page;
    // Which runs is settled first: those that come in meanwhile move the places of the others.
    const ids = runs ?? (await client.worker.idsOf(id, view, 0, Number.MAX_SAFE_INTEGER));
    const shown = columns.shown.filter(({ asked }) => asked !== null);
    const asked = ['name', 'id', ...shown.map((column) => column.asked!)];
    const titles = ['name', 'id', ...shown.map(({ id: column }) => titleOf(format, column, words(column)))];
    const parts = [headOf(format, titles)];
    const atOnce = Math.max(100, Math.floor(CELLS_AT_ONCE / asked.length));
    let stopped = false;
    try {
      for (let first = 0; first < ids.length && !stopped; first += atOnce) {
        const part = ids.slice(first, first + atOnce);
        const answer = await client.worker.cells(id, part, asked, 0, part.length);
        parts.push(rowsOf(format, answer.rows, asked));
        if (ids.length > atOnce)
          actions.progress = { what: 'Reading rows', done: first, all: ids.length, stop: () => (stopped = true) };
      }
    } finally {
      actions.progress = null;
    }
    return stopped ? null : parts.join('');
  }

  /** A single key on a row; false when it means nothing. */
  key(key: string, row: Row | null): boolean {
    const page = this.#page;
    const does: Readonly<Record<string, () => void>> = {
      t: () => void this.ask('tags', row),
      g: () => void this.ask('group', row),
      n: () => row !== null && this.note(row),
      s: () => void this.turn('star', row),
      e: () => void this.turn('archived', row),
      trash: () => void this.turn('trashed', row),
      F2: () => row !== null && (this.renaming = row.id),
      c: () => page.selection.size > 1 && page.compare(),
    };
    const work = does[isTrashKey(key) ? 'trash' : key];
    work?.();
    return work !== undefined;
  }

  #change(
    what: string | ((runs: number) => string),
    rows: readonly Row[],
    changes: readonly Change[],
  ): Promise<boolean> {
    return actions.change(
      what,
      this.#page.id,
      rows.map(({ id }) => id),
      changes,
    );
  }
}

/** The run by its name, or how many of them. */
function whom(rows: readonly Row[], runs: number): string {
  return rows.length === 1 ? rows[0]!.name : count(runs, 'run');
}
