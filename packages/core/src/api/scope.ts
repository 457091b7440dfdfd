import type { Gate } from '../access/index.ts';
import { FieldbookError } from '../errors.ts';
import type { ProjectId, RunId } from '../ids.ts';
import { runDocumentName } from '../ids.ts';
import type { Library } from '../library/index.ts';
import type { ApiContext } from './context.ts';
import type { SyncSource } from './options.ts';

/** The library as routes use it. */
export type RunLibrary = Pick<Library, keyof Library>;

/** The same context for the holder of a token of some projects: what lies outside is not there. */
export function scopedContext(context: ApiContext, gate: Gate): ApiContext {
  const projects = new Set(gate.grant.projects);
  // A card alone does not open a run: its documents are read on from here.
  const opens = (run: RunId): boolean => gate.reads(runDocumentName(run)) !== false;
  const library = scopedLibrary(context.library, projects, opens);
  return {
    ...context,
    library,
    scope: projects,
    findRun: (reference, project) => library.resolve(reference, project as ProjectId | undefined),
    live: {
      onLive: (listener) =>
        context.live.onLive((values) => {
          if (gate.reads(runDocumentName(values.run)) === true) listener(values);
        }),
    },
    sync: scopedSync(context.sync),
  };
}

function scopedLibrary(
  library: RunLibrary,
  projects: ReadonlySet<ProjectId>,
  opens: (run: RunId) => boolean,
): RunLibrary {
  const sees = (project: ProjectId): boolean => projects.has(project);
  return {
    close: () => {},
    onChange: (listener) =>
      library.onChange((change) => {
        if (sees(change.project)) listener(change);
      }),
    projects: async () => (await library.projects()).filter(({ id }) => sees(id)),
    has: async (project) => sees(project) && library.has(project),
    runs: async (project) => (sees(project) ? (await library.runs(project)).filter(({ id }) => opens(id)) : []),
    eachRun: async (project, visit) => {
      if (!sees(project)) return;
      await library.eachRun(project, (state) => {
        if (opens(state.id)) visit(state);
      });
    },
    run: async (project, id) => (sees(project) && opens(id) ? library.run(project, id) : undefined),
    resolve: async (text, project) => {
      const state = await library.resolve(text, project, projects);
      if (opens(state.id)) return state;
      throw new FieldbookError('not_found', `There is no run "${text.slice(0, 80)}".`);
    },
    // Whether a run is gone for good is no secret of a project, and who brings one must be told.
    isPurged: (id, project) => library.isPurged(id, project),
    projectsOf: async (runs) =>
      new Map([...(await library.projectsOf(runs))].filter(([run, project]) => sees(project) && opens(run))),
    history: async (project, id) => (sees(project) && opens(id) ? library.history(project, id) : []),
    runAt: async (project, id, timeMs) => (sees(project) && opens(id) ? library.runAt(project, id, timeMs) : undefined),
    digest: async (project) => (sees(project) ? library.digest(project) : undefined),
  };
}

/** Problems of peers name documents, and how far anybody has come tells how much there is of everything. */
function scopedSync(sync: SyncSource): SyncSource {
  return {
    ...sync,
    state: async () => {
      const { peers, settled } = await sync.state();
      const silent = peers.map((peer) => ({
        ...peer,
        pushedThrough: null,
        pulledThrough: null,
        problem: peer.problem === null ? null : { code: peer.problem.code, message: 'Ask whoever runs this relay.' },
      }));
      return { lastSeq: null, peers: silent, settled };
    },
    holders: (document) => sync.holders(document),
    onChange: (listener) => sync.onChange(listener),
  };
}
