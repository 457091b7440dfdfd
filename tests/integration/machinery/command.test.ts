import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findChromium } from '../../../.ci/lib/chromium.mjs';
import { runCommand } from '../../../.ci/lib/command.mjs';
import { stageLine, tail } from '../../../.ci/lib/report.mjs';
import { testEnvironment } from '../../../.ci/lib/suite.mjs';

const folder = mkdtempSync(join(tmpdir(), 'fieldbook-command-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const node = (script: string, timeoutMs = 20_000) =>
  runCommand(process.execPath, ['-e', script], { cwd: folder, timeoutMs, log: join(folder, 'log') });

describe('a program run by the machinery', () => {
  it('is ok when it says so, and what it said is kept', async () => {
    const outcome = await node(`console.log('out'); console.error('err')`);
    expect(outcome).toMatchObject({ ok: true, trouble: null });
    expect(outcome.output).toContain('out\n');
    expect(outcome.output).toContain('err\n');
    expect(readFileSync(join(folder, 'log'), 'utf8')).toContain('out\n');
  });

  it('is not ok with another status, a signal, or no program', async () => {
    expect(await node('process.exit(3)')).toMatchObject({ ok: false, trouble: null });
    expect(await node(`process.kill(process.pid, 'SIGKILL')`)).toMatchObject({
      ok: false,
      trouble: 'ended by SIGKILL',
    });
    expect(await runCommand('/no/such/program', [], { cwd: folder, timeoutMs: 1000 })).toMatchObject({
      ok: false,
      trouble: expect.stringContaining('could not be started') as string,
    });
  });

  it('has no stdin to wait for', async () => {
    expect(await node(`process.stdin.resume().on('end', () => console.log('ended'))`)).toMatchObject({ ok: true });
  });

  it('is ended with all that it started when its time is over', async () => {
    const outcome = await node(
      `const { pid } = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
       console.log('grandchild ' + pid); setInterval(() => {}, 1000)`,
      1500,
    );
    expect(outcome).toMatchObject({ ok: false, trouble: 'stopped: not done after 2 s' });
    const pid = Number(/grandchild (\d+)/.exec(outcome.output)?.[1]);
    await expect.poll(() => isRunning(pid)).toBe(false);
  });

  it('takes a grandchild with it that outlives it and holds its output', async () => {
    const outcome = await node(
      `require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' }).unref()`,
    );
    expect(outcome).toMatchObject({ ok: true, trouble: null });
  });
});

/** A process that has ended may still be a zombie, which signals reach. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('the environment of tests', () => {
  it('has nothing of the own Fieldbook of whoever runs them', () => {
    const env = testEnvironment(
      { PATH: '/bin', FIELDBOOK_HOME: '/me', FIELDBOOK_RUN_ID: 'mine', FIELDBOOK_CHROMIUM: '/c' },
      { long: true, home: '/tmp/h' },
    );
    expect(env).toMatchObject({
      PATH: '/bin',
      FIELDBOOK_HOME: '/tmp/h',
      FIELDBOOK_CHROMIUM: '/c',
      FIELDBOOK_LONG: '1',
    });
    expect(env).not.toHaveProperty('FIELDBOOK_RUN_ID');
  });
});

describe('the search for a browser', () => {
  it('takes the one that is named, or says that it is none', () => {
    expect(findChromium({ FIELDBOOK_CHROMIUM: process.execPath })).toBe(process.execPath);
    expect(findChromium({ FIELDBOOK_CHROMIUM: join(folder, 'none'), PATH: process.env['PATH'] })).toBeNull();
  });

  it.runIf(process.platform === 'linux')('finds none on an empty path', () => {
    expect(findChromium({ PATH: folder })).toBeNull();
  });
});

describe('the report', () => {
  it('is one line a stage', () => {
    expect(stageLine('lint', { passed: 1, failed: 0, skipped: 0 }, 1234)).toBe('✓ lint               1.2 s');
    expect(stageLine('unit', { passed: 8, failed: 2, skipped: 1 }, 61_000)).toBe(
      '✗ unit               2 failed, 8 passed, 1 skipped, 1 min 1 s',
    );
  });

  it('shows the end of what a program said, without colours', () => {
    expect(tail('a\nb\n\u001B[31mc\u001B[0m\n\n', 2)).toBe('    … 1 lines before\n    b\n    c');
  });
});
