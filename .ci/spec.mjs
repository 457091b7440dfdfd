// npm run spec: every rule of SPEC.md has a test that names it, and every test names rules that exist.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesUnder } from './lib/fingerprint.mjs';
import { ROOT } from './lib/paths.mjs';
import { disagreements, rulesOf, titlesOfPython, titlesOfTypeScript } from './lib/spec-rules.mjs';

/** @param {string} path */
const read = (path) => readFileSync(join(ROOT, path), 'utf8');

// Contract suites are not test files: whatever calls `it` counts. The checker's own tests are full of rules that
// are none.
const files = ['packages', 'tests']
  .flatMap((folder) => filesUnder(ROOT, folder))
  .filter((path) => !path.startsWith('tests/.output/') && path !== 'tests/integration/machinery/spec.test.ts');
const titles = [
  ...files.filter((path) => /\.(?:ts|mjs)$/.test(path)).flatMap((path) => titlesOfTypeScript(path, read(path))),
  ...files.filter((path) => /(?:^|\/)test_\w+\.py$/.test(path)).flatMap((path) => titlesOfPython(path, read(path))),
];
const rules = rulesOf(read('packages/core/SPEC.md'));
const problems = disagreements(rules, titles);
for (const problem of problems) console.error(problem);
console.log(`${rules.length} rules, ${titles.length} titles that name them, ${problems.length} disagreements`);
process.exitCode = problems.length > 0 || rules.length === 0 ? 1 : 0;
