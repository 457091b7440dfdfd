import type { DocumentName, DeviceId, ProjectId, RunId } from '@fieldbook/core';
import {
  FieldbookError,
  isFieldbookError,
  LIMITS,
  noteDocumentName,
  parseDocumentName,
  runDocumentName,
  WORKSPACE_DOCUMENT,
} from '@fieldbook/core';
import type { Role } from '@fieldbook/core/access';
import { RunDocument, Workspace } from '@fieldbook/core/documents';
import type { RunState } from '@fieldbook/core/fold';
import * as Comlink from 'comlink';
import type * as Y from 'yjs';
import type {
  Cell,
  FieldbookWorker,
  Row,
  RunDetail,
  ServerInfo,
  Session,
  SignInWay,
  StartOptions,
  TermKind,
  View,
  WorkerEvent,
} from './api.ts';
import { Alone } from './alone.ts';
import { cellsOf, standingOf } from './bulk.ts';
import type { Bundles } from './bundles.ts';
import type { BytesCache } from './bytes.ts';
import { IndexedBytes } from './bytes.ts';
import { browserDevice } from './device.ts';
import type { BrowserDevice } from './device.ts';
import { Editor } from './edits.ts';
import type { Content } from './files-api.ts';
import { Entry } from './entry.ts';
import { Forgetting } from './forgetting.ts';
import { Grouped, NO_LINES } from './grouped.ts';
import type { Layout, LinesRequest } from './groups-api.ts';
import { Http } from './http.ts';
import { storageWords } from './idb.ts';
import { Keep } from './keep.ts';
import { WebLibrary } from './library.ts';
import type { Notes } from './notes.ts';
import { owedNotes } from './owed-notes.ts';
import type { PlotData, PlotScope } from './plots-api.ts';
import type { Project } from './project.ts';
import type { Readers } from './readers.ts';
import type { ConsoleQuery } from './run-api.ts';
import { Shelf } from './shelf.ts';
import type { Evicted } from './storage-api.ts';
import { BrowserStorage } from './storage.ts';
import { SyncReader } from './sync.ts';
import { TableStore } from './table-store.ts';
import type { Wanted } from './table.ts';
import { refined, termOf } from './terms.ts';
import type { ViewSaid } from './views-api.ts';
import { Views } from './views.ts';
import { Share } from './share.ts';
import { Unsent } from './unsent.ts';

const CLEARED_MS = 5_000;
const SETTLE_MS = 500;
/** What could not be stored is tried again so often: the disk may have room. */
const MEND_MS = 20_000;

/** What the browser stores, opened while the page that will ask is still being read. */
const opening = Promise.all([Keep.open(), IndexedBytes.open(), TableStore.open()]);

// Whoever forgets everything, in this tab or another, must not be told again of what is in memory here.
new Forgetting(() => close());

/** Composition root of the worker: one browser, one person, one server. */
class Worker implements FieldbookWorker {
  #listener: (event: WorkerEvent) => void = () => undefined;
  #session!: Session;
  #keep!: Keep;
  #device!: BrowserDevice;
  #http!: Http;
  #shelf!: Shelf;
  #library!: WebLibrary;
  #editor!: Editor;
  #bytes!: BytesCache;
  #storage!: BrowserStorage;
  #sync!: SyncReader;
  #alone!: Alone;
  #unsent!: Unsent;
  #bundles: Promise<Bundles> | undefined;
  #readers: Promise<Readers> | undefined;
  #notes: Promise<Notes> | undefined;
  /** Those notes once their code is here: before that, none is open and nothing of them was sent. */
  #openedNotes: Notes | undefined;
  #entry!: Entry;
  /** Run documents held open for the page, the newest last. */
  readonly #openRuns: RunId[] = [];
  readonly #grouped = new Grouped();
  #views!: Views;
  #share!: Share;
  #cleared = 0;
  #mending = false;
  #telling = false;
  readonly #started = Promise.withResolvers<void>();

  /** Resolves when there is something to answer from; the page asks before that. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  async start(options: StartOptions, listener: (event: WorkerEvent) => void): Promise<Session> {
    this.#listener = listener;
    const [{ keep, problem }, bytes, tables] = await opening;
    this.#keep = keep;
    const [entry, device, server, name] = await Promise.all([
      Entry.open(keep, options.origin, options.token, options.browser),
      browserDevice(keep),
      keep.get<ServerInfo>('server'),
      keep.get<string>('browser'),
    ]);
    this.#entry = entry;
    this.#device = device;
    this.#editor = await Editor.open(this.#device, keep, {
      onChange: () => this.#tell(),
      onProblem: (error) => this.#storageProblem(storageWords(error)),
      onSaved: (edits) => {
        for (const { project, run } of edits)
          if (run !== null && project !== null) this.#listener({ kind: 'project', id: project, runs: [run] });
      },
    });
    this.#http = new Http(options.origin, this.#entry);
    this.#session = {
      connection: { state: 'connecting' },
      server: server ?? null,
      device: { id: device.id, name: name ?? options.browser },
      person: this.#editor.person,
      suggestedPerson: null,
      hasToken: this.#entry.token !== null,
      signedInAs: this.#entry.person,
      entryProblem: this.#entry.problem,
      refusal: null,
      unsaved: this.#editor.ledger.size,
      books: { listed: 0, loaded: 0 },
      storage: { problem, notice: null, persisted: null, usage: null, quota: null },
      carried: { documents: 0, blobs: 0, problem: null },
      alone: null,
    };
    this.#unsent = await Unsent.open({
      keep,
      shelf: () => this.#shelf,
      http: this.#http,
      bytes,
      online: () => this.#session.connection.state === 'online',
      onChange: () => this.#tell(),
    });
    this.#bytes = bytes;
    this.#storage = new BrowserStorage({
      keep,
      bytes,
      isNeeded: (name) => this.#shelf.get(name) !== undefined || this.#unsent.has(name),
    });
    this.#sync = new SyncReader(this.#http, () => this.#allBooks());
    this.#alone = new Alone(this.#http, new SyncReader(this.#http, () => this.#allBooks()), (projects) => {
      for (const id of projects) this.#listener({ kind: 'live', id, runs: [] });
      this.#listener({ kind: 'projects' });
      this.#tell();
    });
    watchStorage((words) => this.#storageProblem(words));
    keep.onCleared = () => void this.#keepAgain();
    setInterval(() => void this.#mendStorage(), MEND_MS);
    this.#shelf = new Shelf({
      socketUrl: options.origin.replace(/^http/, 'ws'),
      protocols: async () => ['fieldbook.v1', 'fieldbook.ack', ...(await this.#entry.subprotocols())],
      fetchState: (name) => this.#http.document(name),
      onRebuilt: (name) => void this.#rebuilt(name),
      onConnection: (connection) => {
        this.#session.connection = connection;
        if (connection.state === 'online') {
          void this.#askServer();
          this.#unsent.send();
        } else {
          this.#alone.stop();
        }
        this.#tell();
      },
      onStorageProblem: (words) => this.#storageProblem(words),
      onRefused: (_name, reason) => {
        this.#session.refusal = reason;
        this.#tell();
      },
      onReconnect: (name) => {
        this.#editor.ledger.connected(name);
        this.#unsent.connected(name);
        this.#openedNotes?.connected(name);
      },
      onSent: (name, frame) => {
        this.#editor.ledger.sent(name, frame);
        this.#unsent.sent(name, frame);
        this.#openedNotes?.sent(name, frame);
      },
      onAcked: (name, frames) => {
        this.#editor.acked(name, frames);
        this.#unsent.ackedFrames(name, frames);
        this.#openedNotes?.acked(name, frames);
      },
    });
    this.#library = new WebLibrary(this.#shelf, tables, {
      hasUnsaved: (book) => this.#editor.ledger.hasDocument(book),
      onProjects: () => {
        this.#listener({ kind: 'projects' });
        this.#tell();
      },
      onRuns: (id, runs) => {
        this.#listener({ kind: 'project', id, runs });
        const project = this.#library.project(id)!;
        for (const run of runs) if (project.state(run)?.purged === true && !this.#isShown(run)) this.#forget(run);
        this.#tellNotes(id, runs);
      },
      onLive: (id, runs) => this.#listener({ kind: 'live', id, runs }),
    });
    this.#share = new Share(this.#http, keep);
    this.#views = new Views(() => this.#shelf.get(WORKSPACE_DOCUMENT)!.doc, this.#editor);
    await this.#library.open();
    new Workspace(this.#shelf.get(WORKSPACE_DOCUMENT)!.doc).observeViews(() => this.#listener({ kind: 'views' }));
    this.#started.resolve();
    void this.#resumeNotes();
    void this.#measureStorage();
    return this.#snapshot();
  }

  async projects() {
    return this.#library.lines(this.#editor.ledger, this.#alone);
  }

  async openProject(id: ProjectId): Promise<void> {
    await this.#library.prefer(id);
  }

  async columns(id: ProjectId) {
    const project = this.#library.project(id);
    if (project === undefined) return [];
    return project.table.columns();
  }

  async window(id: ProjectId, request: Parameters<FieldbookWorker['window']>[1]) {
    const project = this.#library.project(id);
    if (project === undefined)
      return { total: 0, all: 0, first: 0, rows: [], error: null, loading: this.#stillListing() };
    await project.prepare({ view: request, columns: request.columns });
    return project.window(request, Date.now(), (run) => this.#unsavedOf(run));
  }

  async idsOf(id: ProjectId, view: Parameters<FieldbookWorker['idsOf']>[1], first: number, count: number) {
    const project = await this.#prepared(id, { view });
    return project?.idsOf(view, first, count, Date.now()) ?? [];
  }

  async resolveIds(id: ProjectId, short: readonly string[]) {
    const project = this.#library.project(id);
    if (project === undefined) return [];
    await project.prepare({});
    const found: RunId[] = [];
    const wanted = new Map(short.map((text) => [text, undefined as RunId | undefined]));
    for (const run of project.ids()) {
      const tail = run.slice(-10);
      if (wanted.has(run)) wanted.set(run, run);
      else if (wanted.has(tail)) wanted.set(tail, run);
    }
    for (const text of short) {
      const run = wanted.get(text);
      if (run !== undefined) found.push(run);
    }
    return found;
  }

  async rows(id: ProjectId, runs: readonly RunId[], columns: readonly string[]) {
    const project = await this.#prepared(id, { columns });
    return project?.rows(runs, columns, Date.now(), (run) => this.#unsavedOf(run)) ?? [];
  }

  async readQuery(id: ProjectId, text: string) {
    return this.#library.project(id)?.table.read(text) ?? { error: null, tokens: [], chips: [] };
  }

  async refine(_id: ProjectId, text: string, term: string) {
    return refined(text, term);
  }

  async term(id: ProjectId, column: string, value: Cell, kind: TermKind) {
    return termOf(column, value, kind, this.#mustHave(id).table.runs);
  }

  async complete(id: ProjectId, text: string, cursor: number) {
    return (await this.#prepared(id, { text }))?.table.complete(text, cursor, Date.now()) ?? [];
  }

  async tags(id: ProjectId) {
    return (await this.#prepared(id, {}))?.table.tags() ?? [];
  }

  async tagCounts(id: ProjectId) {
    return (await this.#prepared(id, {}))?.table.runs.tags() ?? [];
  }

  async runsTagged(id: ProjectId, tag: string) {
    return (await this.#prepared(id, {}))?.table.tagged(tag, Date.now()) ?? [];
  }

  async standing(id: ProjectId, view: View, runs: readonly RunId[]) {
    const project = await this.#prepared(id, { view });
    return project === undefined ? { gone: [], outside: 0 } : standingOf(project, view, runs, Date.now());
  }

  async cells(id: ProjectId, ...request: [View | readonly RunId[], readonly string[], number, number]) {
    const [of, columns] = request;
    const project = await this.#prepared(id, { view: 'query' in of ? of : undefined, columns });
    return project === undefined ? { total: 0, rows: [] } : cellsOf(project, ...request, Date.now());
  }

  async lines(id: ProjectId, request: LinesRequest) {
    const project = await this.#prepared(id, { view: request, columns: [...request.columns, ...request.by] });
    if (project === undefined) return { ...NO_LINES, loading: this.#stillListing() };
    return this.#grouped.lines(project, request, Date.now(), (run) => this.#unsavedOf(run));
  }

  async lineRuns(id: ProjectId, layout: Layout, first: number, count: number) {
    await this.#prepared(id, { view: layout, columns: layout.by });
    return this.#grouped.lineRuns(this.#mustHave(id), layout, first, count, Date.now());
  }

  async groupRuns(id: ProjectId, layout: Layout, groups: readonly string[]) {
    await this.#prepared(id, { view: layout, columns: layout.by });
    return this.#grouped.groupRuns(this.#mustHave(id), layout, groups, Date.now());
  }

  async groupsCharted(id: ProjectId, layout: Layout, most: number) {
    const project = await this.#prepared(id, { view: layout, columns: layout.by });
    return project === undefined ? { groups: [], total: 0 } : this.#grouped.charted(project, layout, most, Date.now());
  }

  async views(id: ProjectId) {
    return this.#views.list(id);
  }

  async writeView(id: ProjectId, view: string | null, said: ViewSaid) {
    const written = this.#views.write(id, view, said);
    this.#introduce();
    return written;
  }

  async makeLink(target: string) {
    return this.#views.makeLink(target);
  }

  async sharedAt() {
    return this.#share.at(this.#session);
  }

  async link(id: string) {
    return this.#views.link(id);
  }

  async plot(id: ProjectId, scope: PlotScope, columns: readonly string[]): Promise<PlotData> {
    const project = await this.#prepared(id, { view: 'view' in scope ? scope.view : undefined, columns });
    if (project === undefined) return { ids: '', count: 0, columns: [] };
    const now = Date.now();
    return project.table.plot('runs' in scope ? scope.runs : project.idsOf(scope.view, 0, Infinity, now), columns, now);
  }

  async goals(id: ProjectId) {
    const table = this.#library.project(id)?.table;
    const project = await this.#prepared(id, { columns: table?.goalColumns() ?? [] });
    return project?.table.goals(Date.now()) ?? [];
  }

  async run(id: RunId): Promise<RunDetail | undefined> {
    const { detailOf } = await import('./run-detail.ts');
    const project = await this.#library.find(id);
    await project?.wake([id]);
    const state = project?.state(id);
    if (project === undefined || state === undefined || state.purged) return undefined;
    const shelved = this.#holdRun(project, id);
    const history = project.fold.history(id);
    return {
      ...detailOf(state, new RunDocument(shelved.doc), shelved.name),
      history,
      unsaved: history.filter((edit) => this.#editor.ledger.has(edit.id)).map((edit) => edit.id),
    };
  }

  async captures(id: RunId, keys: readonly string[]) {
    const project = await this.#library.find(id);
    const { capturesOf } = await import('./run-detail.ts');
    return project === undefined ? [] : capturesOf(new RunDocument(this.#holdRun(project, id).doc), new Set(keys));
  }

  async family(id: RunId) {
    const project = await this.#library.find(id);
    const { familyOf, PARENT_COLUMN } = await import('./run-detail.ts');
    await project?.prepare({ columns: [PARENT_COLUMN] });
    return project === undefined ? { parent: null, children: [], more: false } : familyOf(project, id, Date.now());
  }

  async holders(id: RunId) {
    const project = await this.#library.find(id);
    if (project === undefined || this.#session.connection.state !== 'online') return undefined;
    const { holdersOf } = await import('./run-detail.ts');
    return holdersOf(this.#http, this.#session.server?.kind ?? 'agent', id, project.id);
  }

  async console(query: ConsoleQuery) {
    return (await this.#openReaders()).consoles.info(query);
  }

  async consoleLines(query: ConsoleQuery, from: number, to: number) {
    return (await this.#openReaders()).consoles.lines(query, from, to);
  }

  async consoleSearch(...parameters: Parameters<FieldbookWorker['consoleSearch']>) {
    return (await this.#openReaders()).consoles.search(...parameters);
  }

  async consoleCancel(name: string): Promise<void> {
    (await this.#openReaders()).consoles.cancel(name);
  }

  async consoleText(...parameters: Parameters<FieldbookWorker['consoleText']>) {
    return (await this.#openReaders()).consoles.text(...parameters);
  }

  async states(id: ProjectId, runs: readonly RunId[]): Promise<RunState[]> {
    const project = this.#library.project(id);
    await project?.wake(runs);
    return runs.flatMap((run) => project?.state(run) ?? []);
  }

  async edit(id: ProjectId, runs: readonly RunId[], changes: Parameters<FieldbookWorker['edit']>[2]) {
    const receipt = await this.#editor.change(this.#mustHave(id), runs, changes, (name) => this.#shelf.take(name).doc);
    if (receipt.edits.length > 0) this.#introduce();
    return receipt;
  }

  async undo(receipt: Parameters<FieldbookWorker['undo']>[0]) {
    return this.#editor.undo(this.#mustHave(receipt.project), receipt, (name) => this.#shelf.take(name).doc);
  }

  async openNote(...asked: Parameters<FieldbookWorker['openNote']>) {
    return (await this.#openNotes()).openNote(...asked);
  }

  async typeNote(note: number, update: Uint8Array): Promise<void> {
    await (await this.#openNotes()).typeNote(note, update);
  }

  async pointNote(...asked: Parameters<FieldbookWorker['pointNote']>): Promise<void> {
    await (await this.#openNotes()).pointNote(...asked);
  }

  async publishNote(note: number) {
    return (await this.#openNotes()).publishNote(note);
  }

  async settleNote(note: number): Promise<void> {
    await (await this.#openNotes()).settleNote(note);
  }

  async closeNote(note: number): Promise<void> {
    await (await this.#openNotes()).closeNote(note);
  }

  async runAt(id: RunId, time: number): Promise<RunState | undefined> {
    const project = await this.#library.find(id);
    await project?.wake([id]);
    return project?.fold.runAt(id, time);
  }

  async conflicts(id: ProjectId) {
    return this.#library.project(id)?.conflicts(Date.now()) ?? [];
  }

  async series(request: Parameters<FieldbookWorker['series']>[0]) {
    return (await this.#openReaders()).series.read(request);
  }

  async surroundings(runs: readonly RunId[]) {
    return (await this.#openReaders()).comparer.surroundings(runs);
  }

  async sourceDiff(before: RunId, after: RunId) {
    return (await this.#openReaders()).comparer.sourceDiff(before, after);
  }

  async dataDiff(before: RunId, after: RunId, path: string) {
    return (await this.#openReaders()).comparer.dataDiff(before, after, path);
  }

  async files(run: RunId) {
    return (await this.#openReaders()).files.files(run);
  }

  async media(run: RunId) {
    return (await this.#openReaders()).files.media(run);
  }

  async mediaRows(run: RunId, request: Parameters<FieldbookWorker['mediaRows']>[1]) {
    return (await this.#openReaders()).files.mediaRows(run, request);
  }

  async preview(source: Parameters<FieldbookWorker['preview']>[0]) {
    return (await this.#openReaders()).files.preview(source);
  }

  async contentBytes(content: Content, start: number, end: number) {
    const bytes = await (await this.#openReaders()).contents.read(content, start, end);
    return Comlink.transfer(bytes, [bytes.buffer]);
  }

  async openTable(item: Parameters<FieldbookWorker['openTable']>[0]) {
    return (await this.#openReaders()).tables.open(item);
  }

  async tableRows(key: string, window: Parameters<FieldbookWorker['tableRows']>[1]) {
    return (await this.#openReaders()).tables.rows(key, window);
  }

  async dataFiles(list: Content, request: Parameters<FieldbookWorker['dataFiles']>[1]) {
    return (await this.#openReaders()).data.files(list, request);
  }

  async dataChanges(before: Content, after: Content) {
    return (await this.#openReaders()).data.changes(before, after);
  }

  async contentChunk(content: Content, start: number, size: number, keep: boolean) {
    const bytes = await (await this.#openReaders()).contents.chunk(content, start, size, keep);
    return bytes === undefined ? undefined : Comlink.transfer(bytes, [bytes.buffer]);
  }

  async peekBundle(file: Blob, passphrase: string | null) {
    return (await this.#openBundles()).peek(file, passphrase);
  }

  /** What a table keeps of records cannot be told from what a repair took out: it is folded again from the rebuilt document. */
  async #rebuilt(name: DocumentName): Promise<void> {
    const [, , tables] = await opening;
    const parsed = parseDocumentName(name);
    if (parsed.kind === 'book') await tables?.remove(parsed.project).catch(() => undefined);
    this.#listener({ kind: 'rebuilt' });
  }

  async importBundle(file: Blob, onProgress: Parameters<FieldbookWorker['importBundle']>[1]) {
    return (await this.#openBundles()).take(file, onProgress);
  }

  async cancelBundle(): Promise<void> {
    (await this.#openBundles()).cancel();
  }

  async chartRuns(...given: Parameters<FieldbookWorker['chartRuns']>) {
    return (await this.#openReaders()).charts.chartRuns(...given);
  }

  async chartLines(request: Parameters<FieldbookWorker['chartLines']>[0]) {
    return (await this.#openReaders()).charts.chartLines(request);
  }

  async chartBands(request: Parameters<FieldbookWorker['chartBands']>[0]) {
    return (await this.#openReaders()).charts.chartBands(request);
  }

  async chartCensus(request: Parameters<FieldbookWorker['chartCensus']>[0]) {
    return (await this.#openReaders()).charts.chartCensus(request);
  }

  async chartPoints(request: Parameters<FieldbookWorker['chartPoints']>[0]) {
    return (await this.#openReaders()).charts.chartPoints(request);
  }

  async bundleContents(which: Parameters<FieldbookWorker['bundleContents']>[0]) {
    return (await this.#openBundles()).contents(which);
  }

  async exportBundle(...call: Parameters<FieldbookWorker['exportBundle']>): Promise<void> {
    await (await this.#openBundles()).export(...call);
  }

  async stopExport(): Promise<void> {
    (await this.#openBundles()).stopExport();
  }

  async storageUse() {
    return this.#storage.use();
  }

  async freeStorage(what: Parameters<FieldbookWorker['freeStorage']>[0]) {
    const freed = await this.#storage.free(what);
    await this.#mendStorage();
    return freed;
  }

  async setBudget(bytes: number | null): Promise<void> {
    await this.#storage.setBudget(bytes);
  }

  async renameBrowser(name: string): Promise<void> {
    const clean = name.trim();
    if (clean === '' || clean.length > 64)
      throw new FieldbookError('invalid_value', 'A browser’s name has 1 to 64 characters.');
    await this.#keep.put('browser', clean);
    this.#session.device = { ...this.#session.device, name: clean };
    this.#introduce();
    this.#tell();
  }

  async evict(request: Parameters<FieldbookWorker['evict']>[0]) {
    return this.#http.json<Evicted>('/evict', { method: 'POST', body: request, timeoutMs: 3_600_000 });
  }

  async followSync(listener: Parameters<FieldbookWorker['followSync']>[0]): Promise<void> {
    this.#sync.follow(listener);
  }

  async stopSync(): Promise<void> {
    this.#sync.stop();
  }

  async onlyHere() {
    return this.#sync.onlyHere();
  }

  async lastWritten() {
    return this.#sync.lastWritten();
  }

  async join(url: string, token: string | null) {
    return this.#sync.join(url, token);
  }

  async leave(url: string): Promise<void> {
    await this.#sync.leave(url);
  }

  async pauseSync(url: string, paused: boolean): Promise<void> {
    await this.#sync.pause(url, paused);
  }

  async limitSync(url: string, bytesPerS: number | null): Promise<void> {
    await this.#sync.limit(url, bytesPerS);
  }

  async retrySync(): Promise<void> {
    await this.#sync.retry();
  }

  async devices() {
    const lines = this.#library.workspace.devices().map(({ device, name, role, created }) => ({
      id: device,
      name,
      role,
      created,
      here: device === this.#device.id,
    }));
    return lines.sort((a, b) => a.created - b.created);
  }

  async loadExamples(): Promise<void> {
    await this.#http.json('/demo', { method: 'POST', body: {}, timeoutMs: 120_000 });
  }

  async setPerson(name: string): Promise<void> {
    const clean = name.trim();
    if (clean === '' || clean.length > LIMITS.nameBytes / 4)
      throw new FieldbookError('invalid_value', 'A name has 1 to 128 characters.');
    await this.#editor.setPerson(clean);
    this.#tell();
  }

  async setToken(token: string | null): Promise<void> {
    this.#shelf.rest();
    await this.#entry.present(token);
    this.#session.hasToken = this.#entry.token !== null;
    this.#session.signedInAs = this.#entry.person;
    this.#session.entryProblem = this.#entry.problem;
    this.#session.refusal = null;
    this.#shelf.retry();
  }

  /** Null where there is no provider, and where nobody answers. */
  async signInWay(): Promise<SignInWay | null> {
    const answer = await this.#http.json<{ oidc: SignInWay | null }>('/sign-in').catch(() => null);
    return answer?.oidc ?? null;
  }

  async retry(): Promise<void> {
    this.#shelf.retry();
  }

  ask(path: string, init: { method: string; body?: unknown }): Promise<unknown> {
    return this.#http.json(path, init);
  }

  async persist(): Promise<boolean> {
    await this.#measureStorage();
    return this.#session.storage.persisted === true;
  }

  /** Every listed book, those that no project on screen has opened too, one at a time. */
  async *#allBooks(): AsyncGenerator<Y.Doc> {
    for (const { document } of this.#library.workspace.books()) {
      const { doc, loaded } = this.#shelf.take(document);
      try {
        await loaded;
        yield doc;
      } finally {
        this.#shelf.release(document);
      }
    }
  }

  /** Loaded when the first bundle is looked at. Code that could not be loaded is tried again at the next call, here and below. */
  #openBundles(): Promise<Bundles> {
    this.#bundles ??= import('./bundles.ts').then(
      ({ Bundles: Made }) => {
        const online = (): boolean => this.#session.connection.state === 'online';
        return new Made({
          shelf: this.#shelf,
          http: this.#http,
          bytes: this.#bytes,
          unsent: this.#unsent,
          agent: () => online() && this.#session.server?.kind === 'agent',
          online,
          workspaceId: () => this.#session.server?.workspaceId ?? null,
        });
      },
      (error: unknown) => {
        this.#bundles = undefined;
        throw error;
      },
    );
    return this.#bundles;
  }

  /** Loaded when bytes of a run are first asked for. */
  #openReaders(): Promise<Readers> {
    this.#readers ??= import('./readers.ts').then(
      ({ Readers: Made }) =>
        new Made({
          http: this.#http,
          keep: this.#keep,
          bytes: this.#bytes,
          shelf: this.#shelf,
          library: this.#library,
          growsElsewhere: (run) => this.#growsElsewhere(run),
        }),
      (error: unknown) => {
        this.#readers = undefined;
        throw error;
      },
    );
    return this.#readers;
  }

  /** Loaded when somebody opens a note, and when notes are to be said, sent or merged that nobody has open. */
  #openNotes(): Promise<Notes> {
    this.#notes ??= this.#loadNotes().catch((error: unknown) => {
      this.#notes = undefined;
      throw error;
    });
    return this.#notes;
  }

  async #loadNotes(): Promise<Notes> {
    const { Notes: Made } = await import('./notes.ts');
    // The same ones when resuming failed: those that are open stay open.
    const notes = (this.#openedNotes ??= new Made({
      shelf: this.#shelf,
      editor: this.#editor,
      keep: this.#keep,
      device: this.#device.id,
      project: (id) => this.#library.project(id),
      isOnline: () => this.#session.connection.state === 'online',
      mayWrite: () => this.#session.server?.kind === 'agent' && this.#editor.person !== null,
      onChange: () => this.#tell(),
      onProblem: (error) => this.#storageProblem(storageWords(error)),
    }));
    await notes.resume();
    return notes;
  }

  async #resumeNotes(): Promise<void> {
    if ((await owedNotes(this.#keep)).length > 0) await this.#openNotes();
  }

  #tellNotes(id: ProjectId, runs: readonly RunId[]): void {
    const project = this.#library.project(id)!;
    if (this.#openedNotes !== undefined) this.#openedNotes.changed(project, runs);
    else if (project.forked.size > 0) void this.#openNotes().then((notes) => notes.changed(project, runs));
  }

  #unsavedOf(run: RunId): Row['unsaved'] {
    if (this.#editor.ledger.hasRun(run)) return 'browser';
    return this.#alone.has(run) && 'machine';
  }

  /** A project whose table has what a request needs. */
  async #prepared(id: ProjectId, wanted: Wanted): Promise<Project | undefined> {
    const project = this.#library.project(id);
    await project?.prepare(wanted);
    return project;
  }

  /** A run that is being written and that no room here follows: its whole document at every look would be too much. */
  #growsElsewhere(run: RunId): boolean {
    if (this.#session.connection.state !== 'online' || this.#shelf.get(runDocumentName(run)) !== undefined)
      return false;
    return this.#library.projectOf(run)?.table.statusOf(run) === 'running';
  }

  #stillListing(): boolean {
    const { state } = this.#session.connection;
    return state === 'connecting' && this.#library.counts.listed === 0;
  }

  #mustHave(id: ProjectId): Project {
    const project = this.#library.project(id);
    if (project === undefined) throw new FieldbookError('not_found', `There is no project "${id}" here.`);
    return project;
  }

  #introduce(): void {
    // A server closes the workspace to a viewer who writes into it.
    if (this.#session.server?.mayWrite === false) return;
    const workspace = this.#shelf.get(WORKSPACE_DOCUMENT)?.doc;
    if (workspace !== undefined)
      this.#editor.introduce(workspace, `${this.#editor.person ?? ''} · ${this.#session.device.name}`);
  }

  /** Opens a run's document for as long as it is among the last few looked at. */
  #holdRun(project: Project, id: RunId) {
    const name = runDocumentName(id);
    const there = this.#shelf.get(name);
    if (there !== undefined) return there;
    const shelved = this.#shelf.take(name);
    shelved.doc.on('afterTransaction', (transaction) => {
      if (transaction.changed.size > 0) this.#listener({ kind: 'project', id: project.id, runs: [id] });
    });
    this.#openRuns.push(id);
    if (this.#openRuns.length > 4) this.#shelf.release(runDocumentName(this.#openRuns.shift()!));
    return shelved;
  }

  /** Whether a project that this browser has open still shows a run. */
  #isShown(run: RunId): boolean {
    for (const project of this.#library.projects()) if (project.state(run)?.known === true) return true;
    return false;
  }

  /** A run was purged: what this browser kept of its document and its note goes, too. */
  #forget(run: RunId): void {
    const at = this.#openRuns.indexOf(run);
    if (at >= 0) this.#shelf.release(runDocumentName(this.#openRuns.splice(at, 1)[0]!));
    for (const name of [runDocumentName(run), noteDocumentName(run)]) this.#shelf.forget(name);
  }

  async #askServer(): Promise<void> {
    try {
      const device = await this.#http.json<{
        device: DeviceId;
        role: 'agent' | 'relay';
        by: string;
        version: string;
        access?: 'owner' | Role;
      }>('/device');
      const workspace = await this.#http.json<{ id: string; name: string | null }>('/workspace');
      const machine = this.#library.workspace.devices().find((each) => each.device === device.device);
      if (device.role === 'agent' && device.by !== '') {
        this.#session.suggestedPerson = device.by;
        // On one's own machine the agent already knows who that is; Settings can say otherwise.
        if (this.#editor.person === null) await this.#editor.setPerson(device.by);
      }
      // After the name: whoever sees the server knows whom it has named.
      this.#session.server = {
        kind: device.role,
        name: machine?.name ?? device.role,
        version: device.version,
        workspace: workspace.name,
        workspaceId: workspace.id,
        device: device.device,
        mayWrite: device.access !== 'viewer',
        mayAdmit: device.access === 'admin',
      };
      if (device.role === 'agent') this.#alone.follow();
      else this.#alone.stop();
      await this.#keep.put('server', this.#session.server);
    } catch {
      // Rooms work without; the next connection asks again.
    }
    this.#tell();
  }

  /** The browser has cleared its storage under this page: what cannot be had again is written from memory. */
  async #keepAgain(): Promise<void> {
    this.#cleared = Date.now();
    this.#session.storage.notice =
      'The browser had cleared what this page kept. What was open here is kept again; the rest comes back from the server. Ask the browser to keep everything in Settings.';
    // The databases of the documents are closed one by one.
    setTimeout(() => void this.#mendStorage(true), SETTLE_MS);
  }

  /** After writes that failed: everything that is only in memory is written again, and the word about it is taken back. */
  async #mendStorage(isCleared = false): Promise<void> {
    if (this.#mending || !this.#keep.isStored || (!isCleared && this.#session.storage.problem === null)) return;
    this.#mending = true;
    try {
      await this.#keep.put('device', this.#device);
      await this.#keep.put('browser', this.#session.device.name);
      await this.#entry.keepAgain();
      if (this.#session.server !== null) await this.#keep.put('server', this.#session.server);
      await this.#editor.keepAgain();
      await this.#unsent.keepAgain();
      await this.#openedNotes?.keepAgain();
      await this.#shelf.storeAll();
      this.#session.storage.problem = null;
    } catch (error) {
      this.#session.storage.problem = storageWords(error);
    }
    this.#mending = false;
    this.#tell();
  }

  #storageProblem(words: string): void {
    // What was under way when the browser cleared its storage fails late, and is being written again.
    if (Date.now() - this.#cleared < CLEARED_MS) return;
    this.#session.storage.problem = words;
    this.#tell();
  }

  async #measureStorage(): Promise<void> {
    if (typeof navigator.storage === 'undefined') return;
    const persisted = await navigator.storage.persisted().catch(() => null);
    const estimate = await navigator.storage.estimate().catch(() => null);
    Object.assign(this.#session.storage, { persisted, usage: estimate?.usage ?? null, quota: estimate?.quota ?? null });
    this.#tell();
  }

  #snapshot(): Session {
    return {
      ...this.#session,
      person: this.#editor.person,
      unsaved: this.#editor.ledger.size + (this.#openedNotes?.unsaved ?? 0),
      books: this.#library.counts,
      carried: { documents: this.#unsent.documents, blobs: this.#unsent.blobs, problem: this.#unsent.problem },
      alone: this.#alone.summary,
    };
  }

  /** One message for all that changes in one turn. */
  #tell(): void {
    if (this.#telling || this.#library === undefined) return;
    this.#telling = true;
    queueMicrotask(() => {
      this.#telling = false;
      this.#listener({ kind: 'session', session: this.#snapshot() });
    });
  }
}

/** A full disk may show as an unhandled rejection; somebody has to hear it. */
function watchStorage(problem: (words: string) => void): void {
  addEventListener('unhandledrejection', (event: PromiseRejectionEvent) => {
    const reason: unknown = event.reason;
    const name =
      reason instanceof DOMException
        ? reason.name
        : reason instanceof Event
          ? ((reason.target as IDBRequest | null)?.error?.name ?? '')
          : '';
    if (!/Quota|Abort|InvalidState|Unknown|Version|NotFound|Data/.test(name)) return;
    event.preventDefault();
    problem(storageWords(reason instanceof Error || reason instanceof DOMException ? reason : name));
  });
}

/** Calls wait for the start. Errors cross to the page as name and message; the code goes as the name. */
function withCodes(worker: Worker): FieldbookWorker {
  return new Proxy(worker, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      return async (...parameters: unknown[]) => {
        try {
          if (key !== 'start') await target.started;
          return (await Reflect.apply(value, target, parameters)) as unknown;
        } catch (error) {
          if (isFieldbookError(error)) throw Object.assign(new Error(error.message), { name: error.code });
          throw error;
        }
      };
    },
  });
}

Comlink.expose(withCodes(new Worker()));
