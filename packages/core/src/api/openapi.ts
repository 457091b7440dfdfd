import type { Parameter, Route, RouteTable } from './route.ts';
import { ref } from './schema.ts';
import { COMPONENTS } from './views.ts';

/** The OpenAPI 3.1 document of a route table. */
export function openApiDocument(table: RouteTable, program: { name: string; version: string }): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of table.routes) {
    const path = route.path.replace('*}', '}');
    (paths[path] ??= {})[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Fieldbook',
      version: program.version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: `The HTTP API of ${program.name}. Times are ms since the epoch. Errors are {"error": {code, message, details}}.`,
    },
    servers: [{ url: table.prefix }],
    paths,
    components: {
      schemas: COMPONENTS,
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
    security: [{ token: [] }],
  };
}

function operation(route: Route): object {
  const parameters = [
    ...Object.entries(route.inPath ?? {}).map(([name, parameter]) => ({
      ...described(name, parameter),
      in: 'path',
      required: true,
    })),
    ...Object.entries(route.inQuery ?? {}).map(([name, parameter]) => ({
      ...described(name, parameter),
      in: 'query',
      required: name === 'metric' || parameter.required === true,
    })),
  ];
  const responses: Record<string, object> = {};
  for (const { status, description, schema, type } of route.answers) {
    const media = schema === undefined ? type : 'application/json';
    responses[status] =
      media === undefined
        ? { description }
        : { description, content: { [media]: schema === undefined ? {} : { schema } } };
  }
  responses['default'] = { description: 'It did not work.', content: { 'application/json': { schema: ref('Error') } } };
  return {
    operationId: route.id,
    summary: route.summary,
    description: `Role: ${route.needs}.`,
    ...(route.needs === 'anybody' ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined ? {} : { requestBody: requestBody(route.body) }),
    responses,
  };
}

function described(name: string, { description, schema }: Parameter): object {
  return { name, description, schema };
}

function requestBody(body: NonNullable<Route['body']>): object {
  const content = 'limit' in body ? { [body.type]: {} } : { 'application/json': { schema: body.schema } };
  return { required: true, description: body.description, content };
}
