/**
 * How many tests passed and failed, from what test runners write about themselves.
 *
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {string[]} [again] names of those that passed only when they were tried again
 * @property {string[]} [broken] names of those that failed
 */

/**
 * @param {string} json what vitest's json reporter wrote
 * @returns {Counts} a file that could not even be loaded counts as one failure
 */
export function countVitest(json) {
  const report = JSON.parse(json);
  /** @type {{ name?: string, status: string, assertionResults: { status?: string, fullName?: string, failureMessages?: string[] }[] }[]} */
  const files = report.testResults;
  const unloaded = files.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const tests = files.flatMap(({ assertionResults }) => assertionResults);
  const again = tests
    .filter(({ status, failureMessages }) => status === 'passed' && (failureMessages ?? []).length > 0)
    .map(({ fullName }) => fullName ?? '');
  const broken = [
    ...tests.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName ?? ''),
    ...unloaded.map(({ name }) => `${name ?? 'a file'} could not be loaded`),
  ];
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded.length,
    skipped: report.numPendingTests + (report.numTodoTests ?? 0),
    ...(again.length > 0 ? { again } : {}),
    ...(broken.length > 0 ? { broken } : {}),
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
  const cases = [...xml.matchAll(/<testcase\s([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)];
  const broken = cases
    .filter(([, , body]) => /<(?:failure|error)\b/.test(body ?? ''))
    .map(([, head]) => /(?:^|\s)name="([^"]*)"/.exec(head ?? '')?.[1] ?? '');
  return {
    // A test that passes and whose teardown fails is one test and one error.
    passed: Math.max(0, tests - failed - skipped),
    failed,
    skipped,
    ...(broken.length > 0 ? { broken } : {}),
  };
}

/**
 * @param {string} tag
 * @param {string} name
 */
function attribute(tag, name) {
  return Number(new RegExp(`\\s${name}="(\\d+)"`).exec(tag)?.[1] ?? 0);
}
