import type { Role } from '../access/index.ts';
import { FieldbookError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { ApiHead, ApiRequest, ApiResponse, BodyTerms } from './http.ts';
import { parseJson } from './http.ts';
import type { Schema } from './schema.ts';
import { check, coerce, invalid } from './schema.ts';

export interface Parameter {
  description: string;
  schema: Schema;
  /** Of the query: it must be given. */
  required?: boolean;
}

export interface RouteAnswer {
  status: number;
  description: string;
  /** JSON with this schema, when there is one. */
  schema?: Schema;
  /** The media type of an answer that is not JSON. */
  type?: string;
}

/** One operation: what it takes, what it answers, who may ask, and what it does. The OpenAPI document is made from these. */
export interface Route {
  id: string;
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** Below `/api/v1`; `{name}` takes one segment, `{name*}` all that follow. */
  path: string;
  summary: string;
  /**
   * Viewers read, contributors also add runs and change their own, members change runs, admins let people in, the owner also decides
   * what the machine does. Anybody needs nothing: the route looks itself at what is presented.
   */
  needs: Role | 'owner' | 'anybody';
  /** With a token of some projects only this says more than such a token is for, and is refused. */
  whole?: boolean;
  inPath?: Readonly<Record<string, Parameter>>;
  inQuery?: Readonly<Record<string, Parameter>>;
  /** A JSON body, or raw bytes. */
  body?:
    | { description: string; schema: Schema }
    /** `streamed`: taken as it comes, and never held as a whole. */
    | { description: string; type: string; limit: number; streamed?: boolean };
  answers: readonly RouteAnswer[];
  handle(call: Call): Promise<ApiResponse>;
}

/** A request that its route has checked. */
export interface Call {
  request: ApiRequest;
  path: Readonly<Record<string, string>>;
  /** By name, of the types that the route's schemas ask for; defaults filled in. */
  query: Readonly<Record<string, unknown>>;
  /** The JSON value, or the bytes; null when the route takes none. */
  body: unknown;
}

const RANK = { anybody: -1, viewer: 0, contributor: 1, member: 2, admin: 3, owner: 4 };

/** Finds a request's route and checks everything that the route declares. */
export class RouteTable {
  readonly prefix: string;
  readonly routes: readonly Route[];
  readonly #patterns: readonly { route: Route; parts: readonly string[] }[];

  constructor(prefix: string, routes: readonly Route[]) {
    this.prefix = prefix;
    this.routes = routes;
    this.#patterns = routes.map((route) => ({ route, parts: route.path.split('/').slice(1) }));
  }

  /** What may be read of the body of a request that is let in. Throws as `match` does for everything but the body. */
  admit(head: ApiHead): BodyTerms {
    const { body } = this.#admitted(head).route;
    if (body === undefined) return { limit: 0, streamed: false };
    if ('limit' in body) return { limit: body.limit, streamed: body.streamed === true };
    return { limit: LIMITS.requestBytes, streamed: false };
  }

  /** Whether the route is for whoever knocks. */
  isOpen(method: string, path: string): boolean {
    return this.#find(path).some(({ route }) => route.method === method && route.needs === 'anybody');
  }

  /** Throws `not_found`, `method_not_allowed` (details.allowed), `forbidden`, `invalid_argument`. */
  match(request: ApiRequest): { route: Route; call: Call } {
    const { route, path, query } = this.#admitted(request);
    return { route, call: { request, path, query, body: readBody(request, route) } };
  }

  #admitted(request: ApiHead): { route: Route; path: Record<string, string>; query: Record<string, unknown> } {
    const found = this.#find(request.path);
    if (found.length === 0) throw new FieldbookError('not_found', `There is nothing at ${request.path.slice(0, 200)}.`);
    const match = found.find(({ route }) => route.method === request.method);
    if (match === undefined) {
      const allowed = found.map(({ route }) => route.method);
      throw new FieldbookError('method_not_allowed', `${request.method.slice(0, 16)} is not possible here.`, {
        details: { allowed },
      });
    }
    const { route, path } = match;
    if (RANK[request.access.role] < RANK[route.needs]) {
      throw new FieldbookError('forbidden', `This needs the role "${route.needs}"; yours is "${request.access.role}".`);
    }
    if (route.whole === true && request.access.gate?.isScoped === true) {
      throw new FieldbookError('forbidden', 'This is for tokens of all projects; yours is for some.');
    }
    for (const [name, text] of Object.entries(path)) {
      const parameter = route.inPath?.[name];
      if (parameter !== undefined) check(text, parameter.schema, name);
    }
    return { route, path, query: readQuery(request, route.inQuery ?? {}) };
  }

  #find(path: string): { route: Route; path: Record<string, string> }[] {
    if (!path.startsWith(`${this.prefix}/`)) return [];
    const segments = path.slice(this.prefix.length + 1).split('/');
    const found = [];
    for (const { route, parts } of this.#patterns) {
      const values = fit(parts, segments);
      if (values !== undefined) found.push({ route, path: values });
    }
    return found;
  }
}

function fit(parts: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  const values: Record<string, string> = {};
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]!;
    if (part.endsWith('*}')) {
      if (index >= segments.length) return undefined;
      values[part.slice(1, -2)] = decode(segments.slice(index).join('/'));
      return values;
    }
    const segment = segments[index];
    if (segment === undefined) return undefined;
    if (part.startsWith('{')) values[part.slice(1, -1)] = decode(segment);
    else if (part !== segment) return undefined;
  }
  return segments.length === parts.length ? values : undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new FieldbookError('invalid_argument', 'The path is not valid percent-encoded UTF-8.');
  }
}

function readQuery(request: ApiHead, parameters: Readonly<Record<string, Parameter>>): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, text] of request.query) {
    const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (parameter === undefined) {
      const known = Object.keys(parameters);
      const hint = known.length === 0 ? 'none is known here' : `known are ${known.join(', ')}`;
      throw invalid(name.slice(0, 64), `is not a parameter of this; ${hint}`);
    }
    if (Object.hasOwn(values, name)) throw invalid(name, 'is given twice');
    values[name] = coerce(name, text, parameter.schema);
  }
  for (const [name, { schema }] of Object.entries(parameters)) {
    if (!Object.hasOwn(values, name) && schema.default !== undefined) values[name] = schema.default;
  }
  return values;
}

function readBody(request: ApiRequest, route: Route): unknown {
  if (route.body === undefined) {
    if (request.body !== null && request.body.length > 0)
      throw new FieldbookError('invalid_argument', 'This takes no body.');
    return null;
  }
  if ('limit' in route.body) return request.body ?? new Uint8Array(0);
  const type = request.headers['content-type'] ?? '';
  // Only JSON: a page elsewhere can send forms and text here without the browser asking first, but not JSON.
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new FieldbookError('invalid_argument', 'The body must be sent as application/json.');
  }
  const value = parseJson(request.body);
  check(value, route.body.schema, 'body');
  return value;
}
