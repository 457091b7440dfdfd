import { spellOut, writeViewState } from '../app/viewstate.ts';
import type { SavedView, ViewSaid } from '../worker/views-api.ts';
import { actions } from './actions.svelte.ts';
import { client } from './client.svelte.ts';
import type { ProjectPage } from './projectpage.svelte.ts';

/** The saved views of a project: shared by everybody, made and changed also offline. */
export class ProjectViews {
  readonly #page: ProjectPage;
  list = $state.raw<readonly SavedView[]>([]);
  /** The view that was last opened or saved here. */
  opened = $state<string | null>(null);
  readonly current: SavedView | null = $derived(this.list.find(({ id }) => id === this.opened) ?? null);
  /** What the page shows, as a view keeps it: all but the selection, also what is as usual. */
  readonly search: string = $derived.by(() => writeViewState({ ...this.#page.whole, selected: [] }, 0, true));
  /** The opened view shows something else by now. */
  readonly changed: boolean = $derived(this.current !== null && this.#opens(this.current.search) !== this.search);

  constructor(page: ProjectPage) {
    this.#page = page;
  }

  async read(): Promise<void> {
    this.list = await client.worker.views(this.#page.id);
    this.opened ??= this.list.find(({ search }) => search !== '' && this.#opens(search) === this.search)?.id ?? null;
  }

  #opens(search: string): string {
    return spellOut(search, { columns: this.#page.columns.usual, shape: this.#page.shape });
  }

  /** The project opens with this one, when its address says nothing else. */
  openUsual(): void {
    const usual = this.list.find((view) => view.usual);
    if (usual !== undefined) this.#page.openQuietly(usual.search, usual.id);
  }

  open(view: SavedView): void {
    this.#page.openView(`Opened the view ${view.name}`, view);
  }

  /** Back to all runs, as if no view had been opened. */
  leave(): void {
    this.#page.leaveView();
  }

  /** Keeps what the page shows under a name. */
  async save(name: string): Promise<void> {
    const { search } = this;
    let id: string | null = null;
    await actions.write(
      `Saved the view ${name}`,
      async () => {
        id = await this.#write(id, id === null ? { name, search } : { removed: false });
        this.opened = id;
      },
      () => this.#write(id, { removed: true }),
    );
  }

  /** Makes a view show what the page shows now. */
  async overwrite(view: SavedView): Promise<void> {
    const { search } = this;
    await this.#say(view, `Changed what the view ${view.name} shows`, { search }, { search: view.search });
    this.opened = view.id;
  }

  async rename(view: SavedView, name: string): Promise<void> {
    if (name.trim() === view.name || name.trim() === '') return;
    await this.#say(view, `Renamed the view ${view.name} to ${name.trim()}`, { name }, { name: view.name });
  }

  async remove(view: SavedView): Promise<void> {
    await this.#say(view, `Removed the view ${view.name}`, { removed: true }, { removed: false });
  }

  /** Whether the project opens with it. */
  async setUsual(view: SavedView, usual: boolean): Promise<void> {
    const before = this.list.find((each) => each.usual);
    await actions.write(
      usual ? `The project opens with the view ${view.name}` : 'The project opens with all runs',
      () => this.#write(view.id, { usual }),
      () => (before === undefined ? this.#write(view.id, { usual: false }) : this.#write(before.id, { usual: true })),
    );
  }

  async #say(view: SavedView, what: string, said: ViewSaid, before: ViewSaid): Promise<void> {
    await actions.write(
      what,
      () => this.#write(view.id, said),
      () => this.#write(view.id, before),
    );
  }

  async #write(id: string | null, said: ViewSaid): Promise<string> {
    const written = await client.worker.writeView(this.#page.id, id, said);
    this.list = await client.worker.views(this.#page.id);
    return written;
  }
}
