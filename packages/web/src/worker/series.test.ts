import type { RunId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import type { SeriesQuery } from './api.ts';
import type { KeptSeries } from './keep.ts';
import type { SeriesJson } from './series.ts';
import { SeriesSource } from './series.ts';

const NOTHING = { missing: [], corrupt: [], buckets: null };

/** A browser beside a server that has so many points. */
function world() {
  const kept = new Map<string, KeptSeries>();
  const server = { points: 0, asked: 0 };
  const source = new SeriesSource(
    {
      json: async <T>() => {
        server.asked += 1;
        const column = Array.from({ length: server.points }, (_, step) => step);
        const series: SeriesJson = {
          ...NOTHING,
          total: server.points,
          points: { steps: column, times: column, values: column },
        };
        return series as T;
      },
    },
    {
      getSeries: async (key) => kept.get(key),
      putSeries: async (series) => void kept.set(series.key, series),
      trimSeries: async () => undefined,
    },
    { read: async () => undefined },
    () => true,
  );
  return { source, server };
}

const query = (fields: Partial<SeriesQuery> = {}): SeriesQuery => ({
  run: 'run-1' as RunId,
  metric: 'loss',
  x: 'step',
  from: null,
  to: null,
  updated: 7,
  count: 5,
  ...fields,
});

describe('series that are kept', () => {
  it('[WEB-90] a finished run is asked for again until all points are there that its card speaks of', async () => {
    const { source, server } = world();
    server.points = 3;
    expect((await source.read(query())).total).toBe(3);
    // A stretch of what is not there yet is not the last word either.
    expect((await source.read(query({ from: 2, to: 4 }))).total).toBe(3);
    server.points = 5;
    expect((await source.read(query({ from: 2, to: 4 }))).origin).toBe('fresh');
    expect(await source.read(query())).toMatchObject({ total: 5, origin: 'fresh' });
    const { asked } = server;
    expect(await source.read(query())).toMatchObject({ total: 5, origin: 'kept' });
    await source.read(query({ from: 2, to: 4 }));
    await source.read(query({ from: 2, to: 4 }));
    expect(server.asked).toBe(asked + 1);
  });
});
