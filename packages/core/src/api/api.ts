import { API_PREFIX } from '../api-prefix.ts';
import { FieldbookError } from '../errors.ts';
import { FilePresence, RequestedFiles } from '../files/index.ts';
import { parseProjectId } from '../ids.ts';
import type { ApiContext } from './context.ts';
import type { Access, ApiHead, ApiRequest, ApiResponse, BodyTerms } from './http.ts';
import { errorResponse, json } from './http.ts';
import { openApiDocument } from './openapi.ts';
import type { ApiOptions } from './options.ts';
import { RouteTable } from './route.ts';
import { blobCareRoutes } from './routes/blob-care.ts';
import { blobRoutes } from './routes/blobs.ts';
import { bundleRoutes } from './routes/bundles.ts';
import { documentRoutes } from './routes/documents.ts';
import { editRoutes } from './routes/edits.ts';
import { eventRoutes } from './routes/events.ts';
import { fileRoutes } from './routes/files.ts';
import { followRoutes } from './routes/follow.ts';
import { objectRoutes } from './routes/objects.ts';
import { programRoutes, queryRoutes } from './routes/program.ts';
import { projectRoutes } from './routes/projects.ts';
import { runRoutes } from './routes/runs.ts';
import { seriesRoutes } from './routes/series.ts';
import { storageRoutes } from './routes/storage.ts';
import { scopedContext } from './scope.ts';
import { RunTables } from './tables.ts';

/** Sets of projects whose routes are kept. */
const SCOPES_KEPT = 100;

export interface Api {
  /** Never rejects: whatever goes wrong is an answer with `{error}`. */
  handle(request: ApiRequest): Promise<ApiResponse>;
  /**
   * Decides by its head whether a request is let in, before a byte of its body is read, and says what may be read. Throws `not_found`,
   * `method_not_allowed`, `forbidden`, `invalid_argument`.
   */
  admit(head: ApiHead): BodyTerms;
  /** Whether a request needs no token: its route looks itself at what is presented. */
  isOpen(method: string, path: string): boolean;
  /** The OpenAPI 3.1 document, which is also at `/api/v1/openapi.json`. */
  openapi(): object;
  /** Ends event streams and follows the library no more. Requests under way still get their answers. */
  close(): void;
}

/** The HTTP API of agent and relay over plain values; bindings add sockets, access and limits. */
export function createApi(options: ApiOptions): Api {
  let last: Promise<unknown> = Promise.resolve();
  const context: ApiContext = {
    ...options,
    scope: null,
    tables: new RunTables(options.library, options.clock),
    streams: new Set(),
    presence: options.presence ?? new FilePresence(options.blobs, options.clock),
    requested: options.requested ?? new RequestedFiles(options.replica, options.log),
    findRun: (reference, project) =>
      options.library.resolve(reference, project === undefined ? undefined : parseProjectId(project)),
    inTurn: (work) => {
      const turn = last.then(work);
      last = turn.catch(() => undefined);
      return turn;
    },
  };
  const table = routesOf(context);
  /** A table per set of projects that somebody has a token of: a few hundred closures each. */
  const scoped = new Map<string, RouteTable>();
  const tableOf = async ({ gate }: Access): Promise<RouteTable> => {
    if (gate === undefined) return table;
    await gate.ready();
    if (!gate.isScoped) return table;
    const key = [...gate.grant.projects!].sort().join(',');
    const known = scoped.get(key) ?? routesOf(scopedContext(context, gate));
    if (scoped.size >= SCOPES_KEPT) scoped.clear();
    scoped.set(key, known);
    return known;
  };
  const document = openApiDocument(table, options.program);
  return {
    openapi: () => document,
    // Tables of some projects differ in what their routes see only.
    admit: (head) => (isDescription(head) ? { limit: 0, streamed: false } : table.admit(head)),
    isOpen: (method, path) => table.isOpen(method, path),
    close: () => {
      for (const end of context.streams) end();
      context.tables.close();
    },
    handle: async (request) => {
      try {
        if (isDescription(request)) return json(200, document);
        const { route, call } = (await tableOf(request.access)).match(request);
        return await route.handle(call);
      } catch (error) {
        if (!(error instanceof FieldbookError) || error.code === 'internal') {
          options.log.error('api.failed', { method: request.method, path: request.path, error: describe(error) });
        }
        return errorResponse(error);
      }
    },
  };
}

function routesOf(context: ApiContext): RouteTable {
  return new RouteTable(API_PREFIX, [
    ...projectRoutes(context),
    ...runRoutes(context),
    ...editRoutes(context),
    ...seriesRoutes(context),
    ...objectRoutes(context),
    ...documentRoutes(context),
    ...fileRoutes(context),
    ...blobRoutes(context),
    ...blobCareRoutes(context),
    ...bundleRoutes(context),
    ...programRoutes(context),
    ...followRoutes(context),
    ...queryRoutes(context),
    ...eventRoutes(context),
    ...storageRoutes(context),
    ...(context.routes ?? []),
  ]);
}

function isDescription({ method, path }: ApiHead): boolean {
  return method === 'GET' && path === `${API_PREFIX}/openapi.json`;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
