import type { RunId } from '@fieldbook/core';
import type { AttributePath } from '@fieldbook/core';
import type { Change, RunState } from '@fieldbook/core/fold';
import { changeOf } from '@fieldbook/core/fold';
import type { AttributeValue, RegisterName } from '@fieldbook/core/record';
import { untrack } from 'svelte';
import type { RunDetail } from '../worker/api.ts';
import type { Capture } from '../worker/run-api.ts';
import { withParameters } from '../app/search.ts';
import { historyAt, timeOf, timeText } from '../app/past.ts';
import { registerWords, SETTLED_WORDS } from '../app/words.ts';
import { actions } from './actions.svelte.ts';
import { client } from './client.svelte.ts';
import { Repeated } from './repeated.ts';
import { router } from './router.svelte.ts';

/** One run on its page: its detail, followed, and what can be done to it. */
export class RunPage {
  readonly id: RunId;
  /** As it is now. */
  present = $state.raw<RunDetail | undefined>(undefined);
  /** Its state at the time in the address; undefined while it is not read, and while the address names none. */
  #past = $state.raw<{ at: number; state: RunState | undefined } | undefined>(undefined);
  /** The first answer has come. */
  answered = $state(false);
  /** What was captured, once asked for; a section is read again when there is a newer one. */
  captures = $state.raw<readonly Capture[]>([]);
  /** The captures that the detail names have come. */
  captured = $state(false);
  readonly #versions = new Map<string, string>();
  readonly #reading = new Repeated(() => this.#readAll());
  readonly #stop: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(id: RunId) {
    this.id = id;
    this.#stop = client.follow((change) => {
      if (!change.runs.includes(id) && this.present !== undefined) return;
      // Not pushed back by each further change: a run that changes all the time is read all the time.
      this.#timer ??= setTimeout(() => void this.read(), this.present?.state.status === 'running' ? 250 : 30);
    });
    void this.read();
  }

  close(): void {
    this.#stop();
    clearTimeout(this.#timer);
  }

  /** Reads the run anew. One read at a time; what changes meanwhile is read once more. */
  async read(): Promise<void> {
    this.#timer = undefined;
    await this.#reading.run();
  }

  async #readAll(): Promise<void> {
    this.present = await client.worker.run(this.id);
    await this.readPast();
    this.answered = true;
    await this.#readCaptures();
  }

  /** Captured sections are large and seldom change: only those that are new are brought here. */
  async #readCaptures(): Promise<void> {
    const listed = this.present?.captures ?? [];
    const wanted = listed.filter(
      ({ writer, section, version }) => this.#versions.get(`${writer}/${section}`) !== version,
    );
    if (wanted.length > 0) {
      const keys = wanted.map(({ writer, section }) => `${writer}/${section}`);
      const fresh = await client.worker.captures(this.id, keys);
      for (const { writer, section, version } of wanted) this.#versions.set(`${writer}/${section}`, version);
      const replaced = new Set(keys);
      this.captures = [
        ...this.captures.filter(({ writer, section }) => !replaced.has(`${writer}/${section}`)),
        ...fresh,
      ];
    }
    this.captured = true;
  }

  /** The time that the address asks for (ms since the epoch); null for now. */
  get at(): number | null {
    return timeOf(this.param('at'));
  }

  /** As it is shown: as it is, or as it was at the time in the address. */
  get detail(): RunDetail | undefined {
    const { present, at } = this;
    if (present === undefined || at === null) return present;
    const past = this.#past?.at === at ? this.#past.state : undefined;
    // Of a time before the run began there is nothing to show; the banner says so.
    return past === undefined || !past.known
      ? present
      : { ...present, state: past, unsaved: [], history: historyAt(present.history, at) };
  }

  /** The address asks for a time, and it is known what was then. */
  get isPast(): boolean {
    return this.at !== null && this.#past?.at === this.at;
  }

  /** At the time of the address the run had not begun. */
  get isUnborn(): boolean {
    return this.isPast && this.#past?.state?.known !== true;
  }

  /** Reads what the address asks for; the last of several questions at once holds. */
  async readPast(): Promise<void> {
    const { at } = this;
    if (at === null) {
      this.#past = undefined;
      return;
    }
    const state = await client.worker.runAt(this.id, at);
    if (this.at === at) this.#past = { at, state };
  }

  /** Goes to a time, or back to now. */
  goTo(at: number | null): void {
    this.setParams({ at: at === null ? null : timeText(at) });
    void this.readPast();
  }

  /** What the address says under a name; null when it is as usual. */
  param(name: string): string | null {
    return new URLSearchParams(router.search).get(name);
  }

  /** Puts choices into the address, so that a link restores them; null and '' take them out. */
  setParams(choices: Readonly<Record<string, string | null>>): void {
    // Written from effects: they must not run again because the address is another.
    router.replaceSearch(
      withParameters(
        untrack(() => router.search),
        choices,
      ),
    );
  }

  /** Shows a tab. What only another tab keeps in the address goes with it. */
  openTab(tab: string): void {
    if (tab === (this.param('tab') ?? 'overview')) return;
    const at = this.param('at');
    const search = [tab === 'overview' ? '' : `tab=${tab}`, at === null ? '' : `at=${at}`].filter(
      (part) => part !== '',
    );
    router.replaceSearch(search.length === 0 ? '' : `?${search.join('&')}`);
  }

  /** Whether anything can be changed here; says why not. By the address: it asks for a time before that time is read. */
  mayChange(): boolean {
    if (this.at === null) return true;
    actions.say('This is the run as it was. What was cannot be changed.', {
      label: 'Back to now',
      run: () => this.goTo(null),
    });
    return false;
  }

  /** Changes the run; several changes are one step to undo. Resolves false when nothing was changed. */
  async change(what: string, changes: Change | readonly Change[], undone?: string): Promise<boolean> {
    if (!this.mayChange()) return false;
    const project = this.detail?.state.project;
    return project !== undefined && (await actions.change(what, project, [this.id], [changes].flat(), undone));
  }

  rename(name: string): Promise<boolean> {
    return this.change(name === '' ? 'Took the name away' : `Renamed to ${name}`, {
      field: 'name',
      op: 'set',
      value: name === '' ? null : name,
    });
  }

  turn(field: 'star' | 'archived' | 'trashed'): Promise<boolean> {
    const on = this.detail?.state[field] !== true;
    const words = {
      star: ['Starred', 'Took the star off'],
      archived: ['Archived', 'Took out of the archive'],
      trashed: ['Moved to the trash', 'Restored'],
    } as const;
    return this.change(words[field][on ? 0 : 1], { field, op: 'set', value: on });
  }

  /** Settles a conflict: an edit that names all sides as seen. */
  settle(register: RegisterName, side: { op: string; value: AttributeValue }): Promise<boolean> {
    return this.change(`Settled ${registerWords(register)}`, changeOf(register, side), SETTLED_WORDS);
  }

  setAttribute(path: AttributePath, value: AttributeValue): Promise<boolean> {
    return this.change(`Set ${path}`, { field: 'attribute', op: 'set', path, value });
  }

  removeAttribute(path: AttributePath): Promise<boolean> {
    return this.change(`Took ${path} off`, { field: 'attribute', op: 'remove', path, value: null });
  }

  restoreAttribute(path: AttributePath): Promise<boolean> {
    return this.change(`Brought back what the script said of ${path}`, {
      field: 'attribute',
      op: 'clear',
      path,
      value: null,
    });
  }
}
