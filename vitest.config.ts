import { defineConfig } from 'vitest/config';
import type { TestProjectInlineConfiguration } from 'vitest/config';

/**
 * Four suites, by where a test lies:
 *
 *   unit         packages/<name>/src/<anything>.test.ts   one package, in memory
 *   fuzz         tests/fuzz, and <anything>.fuzz.test.ts in core
 *   integration  tests/integration                        several packages or processes, against built programs
 *   e2e          tests/e2e                                real Chromium, two files at a time
 *
 * `FIELDBOOK_LONG=1` is the long mode: tests ask `amount()` of tests/scaffold/mode.ts how much to do, and get an hour.
 */
const long = process.env['FIELDBOOK_LONG'] === '1';
const MINUTE = 60_000;
/** Vitest's own choice on two cores is one file at a time. */
const WORKERS = 2;

// Tests and Vite read packages from their sources: nothing has to be built first.
const conditions = ['source', 'module', 'node', 'development|production'];
const resolve = { conditions };
const ssr = { resolve: { conditions, externalConditions: ['source', 'node', 'module-sync'] } };

const suite = (name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  resolve,
  ssr,
  test: { name, environment: 'node', exclude: ['**/node_modules/**', '**/dist/**'], maxWorkers: WORKERS, ...test },
});

export default defineConfig({
  test: {
    projects: [
      suite('unit', {
        include: ['packages/*/src/**/*.test.ts'],
        exclude: ['**/node_modules/**', '**/dist/**', '**/*.fuzz.test.ts'],
        testTimeout: 10_000,
      }),
      suite('fuzz', {
        include: ['tests/fuzz/**/*.test.ts', 'packages/core/src/**/*.fuzz.test.ts'],
        testTimeout: long ? 60 * MINUTE : 2 * MINUTE,
      }),
      suite('integration', {
        include: ['tests/integration/**/*.test.ts'],
        globalSetup: ['tests/scaffold/build-programs.ts'],
        // They wait for programs as much as they compute.
        maxWorkers: 3,
        testTimeout: long ? 60 * MINUTE : MINUTE,
        hookTimeout: MINUTE,
      }),
      suite('e2e', {
        include: ['tests/e2e/**/*.test.ts'],
        globalSetup: ['tests/scaffold/build-all.ts'],
        // A browser beside another one on two cores is late now and then. What passes only when tried again is named at the end.
        retry: long ? 0 : 2,
        testTimeout: long ? 60 * MINUTE : 2 * MINUTE,
        hookTimeout: 2 * MINUTE,
      }),
    ],
  },
});
