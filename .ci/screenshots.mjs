// npm run screenshots: takes the pictures of docs/images anew, and one of every page at three sizes, light and dark, empty
// and full, in tests/.output/screenshots (open full.html and empty.html there), from a real agent in a real browser.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './lib/paths.mjs';

const { status } = spawnSync(
  process.execPath,
  [
    join(ROOT, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--project',
    'e2e',
    'tests/e2e/screenshots.test.ts',
    ...process.argv.slice(2),
  ],
  { cwd: ROOT, stdio: 'inherit', env: { ...process.env, FIELDBOOK_SCREENSHOTS: '1' } },
);
process.exitCode = status ?? 1;
