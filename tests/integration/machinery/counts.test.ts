import { describe, expect, it } from 'vitest';
import { countPytest, countVitest } from '../../../.ci/lib/counts.mjs';

describe('what vitest reports', () => {
  it('is counted test by test', () => {
    const report = {
      numPassedTests: 5,
      numFailedTests: 2,
      numPendingTests: 1,
      numTodoTests: 1,
      testResults: [{ status: 'failed', assertionResults: [{}] }],
    };
    expect(countVitest(JSON.stringify(report))).toEqual({ passed: 5, failed: 2, skipped: 2 });
  });

  it('has a failure for each file that could not be loaded', () => {
    const report = {
      numPassedTests: 5,
      numFailedTests: 0,
      numPendingTests: 0,
      testResults: [
        { status: 'passed', assertionResults: [{}] },
        { name: 'of.test.ts', status: 'failed', assertionResults: [] },
      ],
    };
    const broken = ['of.test.ts could not be loaded'];
    expect(countVitest(JSON.stringify(report))).toEqual({ passed: 5, failed: 1, skipped: 0, broken });
  });
});

it('tests that pass only the second time are named, and those that fail', () => {
  const results = [
    { status: 'passed', fullName: 'sure', failureMessages: [] },
    { status: 'passed', fullName: 'late', failureMessages: ['it was not there'] },
    { status: 'failed', fullName: 'wrong', failureMessages: ['never', 'never'] },
  ];
  const report = {
    numPassedTests: 2,
    numFailedTests: 1,
    numPendingTests: 0,
    testResults: [{ status: 'failed', assertionResults: results }],
  };
  expect(countVitest(JSON.stringify(report))).toEqual({
    passed: 2,
    failed: 1,
    skipped: 0,
    again: ['late'],
    broken: ['wrong'],
  });
});

describe('what pytest reports', () => {
  it('is counted over all suites', () => {
    const report =
      '<?xml version="1.0"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="1.5">' +
      '<testcase classname="a" name="fine" time="1"/><testcase classname="a" name="wrong[1]" time="1"><failure message="x">no\n</failure></testcase>' +
      '<testcase classname="a" name="skipped"><skipped/></testcase></testsuite></testsuites>';
    expect(countPytest(report)).toEqual({ passed: 4, failed: 3, skipped: 3, broken: ['wrong[1]'] });
  });

  it('is refused when there is none', () => {
    expect(() => countPytest('')).toThrow(/no test suite/);
  });
});
