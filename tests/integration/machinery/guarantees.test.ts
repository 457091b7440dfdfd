import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../../.ci/lib/paths.mjs';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** A row that makes a promise: its rules and the files that prove them. */
interface Promised {
  promise: string;
  rules: string[];
  files: string[];
}

const PROMISES: Promised[] = read('docs/guarantees.md')
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter((cells) => /^[A-Z]{2,4}-\d/.test(cells[2] ?? ''))
  .map(([, promise, rules, proved]) => ({
    promise: promise!,
    rules: rules!.split(', '),
    files: [...proved!.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map((match) => match[1]!),
  }));

describe('the table of guarantees', () => {
  it('makes promises', () => {
    expect(PROMISES.length).toBeGreaterThan(20);
  });

  it.each(PROMISES)('$promise', ({ rules, files }) => {
    const spec = read('packages/core/SPEC.md');
    expect(rules.filter((rule) => !spec.includes(`**${rule}**`))).toEqual([]);
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
    expect(files.length).toBeGreaterThan(0);
    // Each rule is named in one of the files, and each file names one of the rules.
    const named = (file: string, rule: string): boolean =>
      new RegExp(`\\[${rule}\\]|\\b${rule.replace('-', '_').toLowerCase()}\\b`).test(read(file));
    expect(rules.filter((rule) => !files.some((file) => named(file, rule)))).toEqual([]);
    expect(files.filter((file) => !rules.some((rule) => named(file, rule)))).toEqual([]);
  });

  it('shows commands of benchmarks that exist', () => {
    const names = [...read('docs/guarantees.md').matchAll(/npm run bench -- ([a-z-]+)/g)].map((match) => match[1]!);
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !existsSync(join(ROOT, `bench/${name}.bench.ts`)))).toEqual([]);
  });
});
