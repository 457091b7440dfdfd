import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';

const DIST = join(ROOT, 'packages/web/dist');
/** Some room below the 150 kB that the design allows, so that nobody finds out at the last of them. */
const MOST_BYTES = 140_000;

const read = (file: string): string => readFileSync(join(DIST, file), 'utf8');

/** Files that are loaded before anything is asked of the page: what its document names, its worker, and what those import. */
function initial(): Map<string, number> {
  const sizes = new Map<string, number>();
  const walk = (file: string): void => {
    if (sizes.has(file)) return;
    const text = read(file);
    sizes.set(file, gzipSync(text, { level: 9 }).length);
    const near = [...text.matchAll(/(?:\bfrom|\bimport)\s*["'`](\.[^"'`]+\.js)["'`]/g)].map(([, path]) => path!);
    const workers = [...text.matchAll(/new Worker\(new URL\(["'`]([^"'`]+\.js)/g)].map(([, path]) => path!);
    for (const path of [...near, ...workers]) walk(path.startsWith('/') ? path : posix.join(posix.dirname(file), path));
  };
  for (const [, path] of read('/index.html').matchAll(/<(?:script|link)[^>]+(?:src|href)="([^"]+\.js)"/g)) walk(path!);
  return sizes;
}

it('[WEB-60] starts with less JavaScript than the budget, page and worker together', () => {
  const sizes = initial();
  expect([...sizes.keys()].filter((file) => /\/worker-/.test(file))).toHaveLength(1);
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  expect(total, [...sizes].map(([file, size]) => `${size} ${file}`).join('\n')).toBeLessThan(MOST_BYTES);
});
