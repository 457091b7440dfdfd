import * as Y from 'yjs';
import { NOTE_TEXT } from '../documents/note.ts';
import { FieldbookError } from '../errors.ts';
import type { DeviceId, DocumentName, ProjectId, RunId } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import { parseCardKey } from '../record/index.ts';
import type { UpdateFacts } from '../replica/admission.ts';
import type { Commit, Replica } from '../replica/replica.ts';
import { judgeContribution } from './contribution.ts';
import type { Grant, Role } from '../grant.ts';
import { grantOf, reaches } from '../grant.ts';
import type { RunIndex } from './run-index.ts';

/**
 * What a grant comes to on one replica: which documents its holder reads, and which changes it may make. The same for
 * replication, rooms and the HTTP API. `ready` must have resolved before the rest is asked.
 */
export class Gate {
  readonly grant: Grant;
  readonly #runs: RunIndex | undefined;

  /** `runs` may be left out for grants of everything to a member. */
  constructor(grant: Grant, runs?: RunIndex) {
    if (runs === undefined && (grant.projects !== null || grant.role === 'contributor'))
      throw new FieldbookError('internal', 'A grant of less than everything needs to know whose runs are whose.');
    this.grant = grant;
    this.#runs = runs;
  }

  /** The gate of somebody who needs no token: the owner of a machine, and tests. */
  static open(role: Exclude<Role, 'contributor'>): Gate {
    return new Gate(grantOf(role));
  }

  get role(): Role {
    return this.grant.role;
  }

  /** Whether anything may be written. */
  get writes(): boolean {
    return reaches(this.grant.role, 'contributor');
  }

  /** Whether it is of some projects only. */
  get isScoped(): boolean {
    return this.grant.projects !== null;
  }

  async ready(): Promise<void> {
    if (this.isScoped || this.grant.role === 'contributor') await this.#runs!.ready();
  }

  seesProject(project: ProjectId): boolean {
    return this.grant.projects === null || this.grant.projects.includes(project);
  }

  /**
   * Whether a document may be read. The workspace is everybody's; a book is of its project; what belongs to a run is of the
   * projects of its cards, and undefined while none has come.
   */
  reads(name: DocumentName): boolean | undefined {
    if (!this.isScoped) return true;
    const parsed = parseDocumentName(name);
    if (parsed.kind === 'workspace') return true;
    if (parsed.kind === 'book') return this.seesProject(parsed.project);
    return this.#seesRun(parsed.run);
  }

  /**
   * As `reads`, of a document as it is now: one that belongs to no project yet, as no card of its run has come or the book is damaged, is read by
   * who may write it while nobody else has written in it.
   */
  async readsNow(replica: Pick<Replica, 'info' | 'read'>, name: DocumentName): Promise<boolean> {
    await this.ready();
    const reads = this.reads(name);
    if (reads !== undefined || !this.writes) return reads === true;
    if ((await replica.info(name)) === undefined) return true;
    return replica.read(name, (doc) => {
      // A text has no authors, and neither has what newer versions keep.
      if (doc.getText(NOTE_TEXT).length > 0) return false;
      for (const part of doc.share.keys()) if (part !== 'entries' && part !== NOTE_TEXT) return false;
      for (const key of doc.getMap('entries').keys())
        if (!this.grant.devices.has(key.split('/', 3)[2] as DeviceId)) return false;
      return true;
    });
  }

  /** Throws `forbidden` unless the document may be read. */
  checkRead(name: DocumentName): void {
    if (this.reads(name) !== true) throw outOfScope(name);
  }

  /** Throws `forbidden` unless a whole document may be taken from the holder of this grant: nobody judges what is in one. */
  checkAdopt(name: DocumentName): void {
    if (this.reads(name) === false) throw outOfScope(name);
    if (!reaches(this.grant.role, 'member'))
      throw new FieldbookError('forbidden', `A contributor may not replace ${name.slice(0, 120)} as a whole.`);
    this.#runs?.replacing(name, this.isScoped ? (project) => this.seesProject(project) : null);
  }

  /** Whether a run may be changed: by a contributor only its own. */
  mayEdit(run: RunId): boolean {
    if (this.grant.role !== 'contributor') return this.writes;
    for (const device of this.#runs!.of(run)?.devices ?? []) if (this.grant.devices.has(device)) return true;
    return false;
  }

  /**
   * `replica.apply` for what the holder of this grant sends. Throws `forbidden` as well, for the update as a whole and before
   * it is stored.
   */
  async apply(
    replica: Pick<Replica, 'apply'>,
    name: DocumentName,
    update: Uint8Array,
    origin: unknown,
    generation?: number,
  ): Promise<Commit | undefined> {
    if (!this.writes) throw new FieldbookError('forbidden', 'This token may only read.');
    await this.ready();
    // Of a run without a card nobody can say where it belongs; without one it is shown nowhere.
    if (this.reads(name) === false) throw outOfScope(name);
    for (;;) {
      const foreign: RunId[] = [];
      try {
        return await replica.apply(name, update, origin, generation, { judge: this.#judge(foreign) });
      } catch (error) {
        const parsed = parseDocumentName(name);
        if (foreign.length === 0 || parsed.kind !== 'book') throw error;
        // Written down before the cards are, so that no restart between finds them open.
        await this.#runs!.shut(parsed.project, foreign);
      }
    }
  }

  /** The replica as this grant lets it be written: bundles are taken in through it. */
  guard<R extends Pick<Replica, 'list' | 'read' | 'info' | 'transact' | 'apply' | 'encodeState'>>(
    replica: R,
  ): Pick<Replica, 'list' | 'read' | 'info' | 'transact' | 'apply'> {
    if (!this.isScoped && this.grant.role !== 'contributor') return replica;
    return {
      list: (prefix) => replica.list(prefix),
      read: (name, read) => replica.read(name, read),
      info: (name) => replica.info(name),
      apply: (name, update, origin, generation) => this.apply(replica, name, update, origin, generation),
      // As an update that somebody sent: made beside the document, and judged as a whole.
      transact: async (name, change) => {
        const doc = new Y.Doc();
        Y.applyUpdate(doc, (await replica.encodeState(name)).update);
        const before = Y.encodeStateVector(doc);
        doc.transact(() => change(doc));
        const update = Y.encodeStateAsUpdate(doc, before);
        doc.destroy();
        return this.apply(replica, name, update, 'local');
      },
    };
  }

  /** Throws with the runs in `foreign` whose cards are to be shut first. */
  #judge(foreign: RunId[]): ((facts: UpdateFacts) => void) | undefined {
    const isContributor = this.grant.role === 'contributor';
    if (!isContributor && !this.isScoped) return undefined;
    const own: ReadonlySet<DeviceId> = this.grant.devices;
    return (facts) => {
      if (isContributor) judgeContribution({ facts, own, ownersOf: (run) => this.#runs!.of(run) });
      if (!this.isScoped) return;
      for (const run of this.#foreignOf(facts)) foreign.push(run);
      if (foreign.length > 0) throw outOfScope(facts.name);
    };
  }

  /**
   * Runs whose first card of this project comes from somebody who may not read them. Such a card is taken, as it may be an honest machine's that forwards
   * it or had the same idea of an id, but lets nobody of its project read or change what others recorded.
   */
  #foreignOf({ name, changes }: UpdateFacts): Set<RunId> {
    const foreign = new Set<RunId>();
    const parsed = parseDocumentName(name);
    if (parsed.kind !== 'book') return foreign;
    for (const { map, key } of changes) {
      const run = map === 'cards' ? parseCardKey(key)?.run : undefined;
      if (run !== undefined && this.#runs!.isForeign(run, parsed.project, (project) => this.seesProject(project)))
        foreign.add(run);
    }
    return foreign;
  }

  #seesRun(run: RunId): boolean | undefined {
    const projects = this.#runs!.opensTo(run);
    if (projects === undefined) return undefined;
    for (const project of projects) if (this.seesProject(project)) return true;
    return false;
  }
}

function outOfScope(name: DocumentName): FieldbookError {
  return new FieldbookError('forbidden', `This token is for other projects than that of ${name.slice(0, 120)}.`);
}
