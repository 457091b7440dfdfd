import { FieldbookError } from '../../errors.ts';
import type { DocumentName } from '../../ids.ts';
import { parseDocumentName } from '../../ids.ts';
import type { ApiContext } from '../context.ts';
import type { Route } from '../route.ts';
import { bringDocument } from './follow.ts';

export function documentRoutes(context: ApiContext): Route[] {
  const { replica, gzip } = context;
  return [
    {
      id: 'getDocument',
      method: 'GET',
      path: '/documents/{name*}',
      summary: 'A document’s whole committed state as one Yjs update (V1)',
      needs: 'viewer',
      inPath: {
        name: {
          description: '`workspace`, `book/<project>/<yyyy-mm>` or `run/<run id>`.',
          schema: { type: 'string', maxLength: 256 },
        },
      },
      answers: [
        { status: 200, description: 'The update; gzipped when that is accepted.', type: 'application/octet-stream' },
        { status: 304, description: 'Nothing changed since the answer with that etag.' },
      ],
      handle: async ({ path, request }) => {
        parseDocumentName(path['name']!);
        const name = path['name'] as DocumentName;
        request.access.gate?.checkRead(name);
        await bringDocument(context, name);
        const info = await replica.info(name);
        if (info === undefined) throw new FieldbookError('not_found', `There is no document "${name}" here.`);
        const etagOf = (seq: number, generation: number): string => `"${replica.id}-${generation}-${seq}"`;
        if (request.headers['if-none-match'] === etagOf(info.seq, info.generation)) {
          return {
            status: 304,
            headers: { etag: etagOf(info.seq, info.generation), 'cache-control': 'no-cache' },
            body: null,
          };
        }
        await request.hold?.(info.size);
        const { update, seq, generation } = await replica.encodeState(name);
        const headers = {
          'content-type': 'application/octet-stream',
          'cache-control': 'no-cache',
          etag: etagOf(seq, generation),
          'fieldbook-generation': String(generation),
          'fieldbook-seq': String(seq),
          vary: 'accept-encoding',
        };
        const accepts = /(^|[\s,])gzip\s*(?!;\s*q=0(\.0*)?\s*(,|$))/i.test(request.headers['accept-encoding'] ?? '');
        if (gzip === undefined || !accepts || update.length < 1_024) return { status: 200, headers, body: update };
        return { status: 200, headers: { ...headers, 'content-encoding': 'gzip' }, body: await gzip(update) };
      },
    },
  ];
}
