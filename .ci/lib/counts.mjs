/**
 * How many tests passed and failed, from what test runners write about themselves.
 *
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {string[]} [again] names of those that passed only when they were tried again
 */

/**
 * @param {string} json what vitest's json reporter wrote
 * @returns {Counts} a file that could not even be loaded counts as one failure
 */
export function countVitest(json) {
  const report = JSON.parse(json);
  /** @type {{ status: string, assertionResults: { status?: string, fullName?: string, failureMessages?: string[] }[] }[]} */
  const files = report.testResults;
  const unloaded = files.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
  const again = files
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status, failureMessages }) => status === 'passed' && (failureMessages ?? []).length > 0)
    .map(({ fullName }) => fullName ?? '');
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded,
    skipped: report.numPendingTests + (report.numTodoTests ?? 0),
    ...(again.length > 0 ? { again } : {}),
  };
}

/**
 * @param {string} xml what pytest's --junitxml wrote
 * @returns {Counts}
 */
export function countPytest(xml) {
  const suites = [...xml.matchAll(/<testsuite\s[^>]*>/g)].map(([tag]) => tag);
  if (suites.length === 0) throw new Error('There is no test suite in the report of pytest.');
  let tests = 0;
  let failed = 0;
  let skipped = 0;
  for (const suite of suites) {
    tests += attribute(suite, 'tests');
    failed += attribute(suite, 'failures') + attribute(suite, 'errors');
    skipped += attribute(suite, 'skipped');
  }
  // A test that passes and whose teardown fails is one test and one error.
  return { passed: Math.max(0, tests - failed - skipped), failed, skipped };
}

/**
 * @param {string} tag
 * @param {string} name
 */
function attribute(tag, name) {
  return Number(new RegExp(`\\s${name}="(\\d+)"`).exec(tag)?.[1] ?? 0);
}
