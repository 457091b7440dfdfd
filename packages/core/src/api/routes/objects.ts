import { RunDocument } from '../../documents/index.ts';
import type { WriterId } from '../../ids.ts';
import { parsePath, parseWriterId, runDocumentName } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import type { RowPlace } from '../../objects/index.ts';
import { ObjectReader } from '../../objects/index.ts';
import type { Entry } from '../../record/index.ts';
import type { ApiContext } from '../context.ts';
import { fingerprint } from '../cursor.ts';
import { json } from '../http.ts';
import { absentView, objectPathView, objectRowView } from '../object-views.ts';
import type { Call, Route } from '../route.ts';
import { array, object, ref } from '../schema.ts';
import { invalid } from '../schema.ts';
import { bringRun } from './follow.ts';
import { IN_PROJECT, RUN } from './runs.ts';

const ROWS_MAX = 1_000;
/** UTF-16 units of text in one answer: 1,000 long texts would be 64 MB. */
const CHARACTERS_MAX = 4 * 1024 * 1024;

export function objectRoutes(context: ApiContext): Route[] {
  const reader = new ObjectReader(context.fetching ?? context.blobs);
  const entriesOf = async (call: Call): Promise<{ run: string; entries: Entry[] }> => {
    const state = await context.findRun(call.path['run']!, call.query['project'] as string | undefined);
    await bringRun(context, state.id);
    const entries = await context.replica.read(runDocumentName(state.id), (doc) => {
      const document = new RunDocument(doc);
      return [...document.objects(), ...document.objectTails()];
    });
    return { run: state.id, entries };
  };
  return [
    {
      id: 'listObjects',
      method: 'GET',
      path: '/runs/{run}/objects',
      summary: 'Series whose values are not numbers, console included: paths, kinds and numbers of rows',
      needs: 'viewer',
      inPath: { run: RUN },
      inQuery: { project: IN_PROJECT },
      answers: [
        {
          status: 200,
          description: 'The paths, sorted.',
          schema: object({ run: { type: 'string' }, paths: array(ref('ObjectPath')) }),
        },
      ],
      handle: async (call) => {
        const { run, entries } = await entriesOf(call);
        return json(200, { run, paths: (await reader.list(entries)).map(objectPathView) });
      },
    },
    {
      id: 'getObjects',
      method: 'GET',
      path: '/runs/{run}/object',
      summary: 'Rows of one such series: texts, images, tables, console lines',
      needs: 'viewer',
      inPath: { run: RUN },
      inQuery: {
        path: {
          description: 'Path of the series; of the console `console/stdout`, `console/stderr` or `console/output`.',
          schema: { type: 'string', minLength: 1, maxLength: LIMITS.pathBytes },
          required: true,
        },
        x: {
          description: 'What rows are ordered by. Lines of several writers are best read by time.',
          schema: { type: 'string', enum: ['step', 'time'], default: 'step' },
        },
        from: { description: 'Least x (ms since the epoch for time).', schema: { type: 'number' } },
        to: { description: 'Greatest x.', schema: { type: 'number' } },
        end: {
          description: 'The first rows or the last.',
          schema: { type: 'string', enum: ['first', 'last'], default: 'first' },
        },
        limit: {
          description: 'Rows in one answer; long texts make it fewer.',
          schema: { type: 'integer', minimum: 1, maximum: ROWS_MAX, default: 100 },
        },
        writer: { description: 'Rows of this writer only.', schema: { type: 'string', maxLength: 26 } },
        contains: {
          description: 'Rows whose text has this in it, in whatever case. A search may stop early: go on with `next`.',
          schema: { type: 'string', minLength: 1, maxLength: 256 },
        },
        cursor: { description: '`next` of the answer before this one.', schema: { type: 'string', maxLength: 256 } },
        project: IN_PROJECT,
      },
      answers: [
        { status: 200, description: 'The rows; none when the run has no such path.', schema: ref('ObjectRows') },
      ],
      handle: async (call) => {
        const { x, end, limit, from, to, contains } = call.query as unknown as Question;
        const path = parsePath(typeof call.query['path'] === 'string' ? call.query['path'] : '');
        const writer = typeof call.query['writer'] === 'string' ? parseWriterId(call.query['writer']) : undefined;
        const { run, entries } = await entriesOf(call);
        const asked = JSON.stringify([run, path, x, end, from, to, writer, contains]);
        const after = readPlace(call.query['cursor'] as string | undefined, asked);
        const answer = await reader.read({
          entries,
          path,
          x,
          end,
          limit,
          characters: CHARACTERS_MAX,
          ...given({ from, to, writer, contains, after }),
        });
        return json(200, {
          run,
          path,
          x,
          rows: answer.rows.map(objectRowView),
          next: answer.next === null ? null : makePlace(answer.next, asked),
          missing: answer.missing.map(absentView),
          corrupt: answer.corrupt.map(absentView),
        });
      },
    },
  ];
}

interface Question {
  x: 'step' | 'time';
  end: 'first' | 'last';
  limit: number;
  from?: number;
  to?: number;
  contains?: string;
}

interface Optional {
  from?: number;
  to?: number;
  writer?: WriterId;
  contains?: string;
  after?: RowPlace;
}

/** Without what is undefined. */
function given(options: { [K in keyof Optional]: Optional[K] | undefined }): Optional {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** A cursor names the place itself and what was asked, so that nothing is kept and it is used for no other question. */
function makePlace({ key, writer, ordinal, part }: RowPlace, asked: string): string {
  // A place before or behind all writers at its key is none of theirs.
  const whose = writer === '' ? '-' : writer === '\uffff' ? '+' : writer;
  return [fingerprint(asked), String(key), whose, String(ordinal), String(part)].join('~');
}

function readPlace(cursor: string | undefined, asked: string): RowPlace | undefined {
  if (cursor === undefined) return undefined;
  const parts = cursor.split('~');
  if (parts.length !== 5) throw invalid('cursor', 'is not one that an answer gave');
  if (parts[0] !== fingerprint(asked)) throw invalid('cursor', 'was made for another question');
  const [key, ordinal, part] = [parts[1], parts[3], parts[4]].map(Number) as [number, number, number];
  if (![key, ordinal, part].every(Number.isFinite)) throw invalid('cursor', 'is not one that an answer gave');
  const writer = parts[2] === '-' ? '' : parts[2] === '+' ? '\uffff' : parts[2]!;
  return { key, writer, ordinal, part };
}
