import { RunDocument } from '../../documents/index.ts';
import { parsePath, runDocumentName } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { Route } from '../route.ts';
import { ref } from '../schema.ts';
import { seriesView } from '../views.ts';
import { bringRun } from './follow.ts';
import { IN_PROJECT, RUN } from './runs.ts';

/** Wider than any screen; for all points, a segment is a Parquet file to be had by its digest. */
const POINTS_MAX = 100_000;

export function seriesRoutes(context: ApiContext): Route[] {
  return [
    {
      id: 'getSeries',
      method: 'GET',
      path: '/runs/{run}/series',
      summary: 'Points of one metric, or their minima and maxima when there are more than asked for',
      needs: 'viewer',
      inPath: { run: RUN },
      inQuery: {
        metric: {
          description: 'The metric’s path.',
          schema: { type: 'string', minLength: 1, maxLength: LIMITS.pathBytes },
        },
        x: {
          description: 'What lies along the axis.',
          schema: { type: 'string', enum: ['step', 'time'], default: 'step' },
        },
        from: { description: 'Least x (ms since the epoch for time).', schema: { type: 'number' } },
        to: { description: 'Greatest x.', schema: { type: 'number' } },
        points: {
          description: 'So many points come as they are; more come as half as many buckets.',
          schema: { type: 'integer', minimum: 2, maximum: POINTS_MAX, default: 2_000 },
        },
        project: IN_PROJECT,
      },
      answers: [
        { status: 200, description: 'The series; empty when the run has no such metric.', schema: ref('Series') },
      ],
      handle: async ({ path, query }) => {
        const { x, from, to, points } = query as { x: 'step' | 'time'; from?: number; to?: number; points: number };
        const metric = parsePath(typeof query['metric'] === 'string' ? query['metric'] : '');
        const state = await context.findRun(path['run']!, query['project'] as string | undefined);
        await bringRun(context, state.id);
        const entries = await context.replica.read(runDocumentName(state.id), (doc) =>
          [...new RunDocument(doc).entries()].map(([, entry]) => entry),
        );
        const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
        const series = await context.series.read({ entries, metric, x, ...range, maxPoints: points });
        return json(200, seriesView(state.id, series));
      },
    },
  ];
}
