import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '../../errors.ts';
import type { ProjectId, RunId } from '../../ids.ts';
import type { QueryEngine, TableRequest } from '../../query/index.ts';

export interface QueryEngineSetup {
  engine: QueryEngine;
  project: ProjectId;
  /** Commits a run with `params/x`, or gives an existing one another value; resolves when that is durable. */
  put(run: string, x: number): Promise<void>;
  /** Commits the purge of a run. */
  purge(run: string): Promise<void>;
  teardown(): Promise<void>;
}

/** The contract of the QueryEngine port. `setup` gives an engine over an empty project; called once per test. */
export function queryEngineContract(name: string, setup: () => Promise<QueryEngineSetup>): void {
  const use = async (work: (given: QueryEngineSetup) => Promise<void>): Promise<void> => {
    const given = await setup();
    try {
      await work(given);
    } finally {
      given.engine.close();
      await given.teardown();
    }
  };
  const ids = async ({ engine, project }: QueryEngineSetup, request: Partial<TableRequest>): Promise<string[]> =>
    (await engine.table({ project, sort: [{ column: 'id' }], ...request })).runs.map(({ id }) => id);

  describe(`query engine contract: ${name}`, () => {
    it('[QRY-22] answers for every change committed before', () =>
      use(async (given) => {
        expect(await ids(given, {})).toEqual([]);
        await given.put('run-a', 1);
        await given.put('run-b', 2);
        expect(await ids(given, { query: 'params/x > 1' })).toEqual(['run-b']);
        await given.put('run-a', 3);
        expect(await ids(given, { query: 'params/x > 1' })).toEqual(['run-a', 'run-b']);
        await given.purge('run-b');
        expect(await ids(given, {})).toEqual(['run-a']);
        // Asked at once, while the table is being filled or brought up to date.
        await Promise.all([given.put('run-c', 4), ids(given, {}), given.put('run-d', 5), ids(given, {})]);
        expect(await ids(given, {})).toEqual(['run-a', 'run-c', 'run-d']);
        expect(await ids(given, { project: 'nobody' as ProjectId })).toEqual([]);
      }));

    it('[QRY-22] answers in pages with cells, groups and unknown paths', () =>
      use(async (given) => {
        for (const [run, x] of [
          ['run-a', 1],
          ['run-b', 2],
          ['run-c', 1],
        ] as const)
          await given.put(run, x);
        const answer = await given.engine.table({
          project: given.project,
          query: 'params/x exists or nothing > 3',
          sort: [{ column: 'params/x', descending: true }],
          offset: 1,
          limit: 1,
          columns: ['params/x', 'nothing'],
          by: ['params/x'],
          aggregates: [{ column: 'params/x', goal: 'max' }],
        });
        expect(answer).toMatchObject({
          total: 3,
          unknown: ['nothing'],
          runs: [{ id: 'run-a', cells: [1, undefined] }],
        });
        expect(answer.groups!.map(({ key, runs }) => [key, runs])).toEqual([
          [[1], ['run-a', 'run-c']],
          [[2], ['run-b']],
        ]);
        expect(answer.groups![0]!.summaries[0]).toMatchObject({ count: 2, mean: 1, best: 'run-a' });
      }));

    it('[QRY-22] refuses what is no query', () =>
      use(async ({ engine, project }) => {
        for (const [query, code] of [
          ['x <', 'query_syntax'],
          ['status:odd', 'query_type'],
        ] as const) {
          const error: unknown = await engine.table({ project, query }).catch((caught: unknown) => caught);
          expect(isFieldbookError(error, code)).toBe(true);
        }
      }));

    it('[QRY-23] tells of changes once the table shows them, and nobody after they left', () =>
      use(async (given) => {
        const { engine, project } = given;
        const told: RunId[] = [];
        let arrived!: () => void;
        const first = new Promise<void>((resolve) => (arrived = resolve));
        const leave = engine.watch(project, (runs) => {
          told.push(...runs);
          arrived();
        });
        await given.put('run-a', 1);
        await first;
        expect(await ids(given, {})).toEqual(['run-a']);
        leave();
        await given.put('run-b', 1);
        expect(await ids(given, {})).toEqual(['run-a', 'run-b']);
        expect(told).toEqual(['run-a']);
        engine.close();
        const error: unknown = await engine.table({ project }).catch((caught: unknown) => caught);
        expect(isFieldbookError(error, 'closed')).toBe(true);
      }));
  });
}
