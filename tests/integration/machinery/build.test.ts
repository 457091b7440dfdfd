import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { filesUnder, fingerprint } from '../../../.ci/lib/fingerprint.mjs';
import { missingPackages } from '../../../.ci/lib/install.mjs';
import { tooOld } from '../../../.ci/lib/node-version.mjs';
import { inputsOf, isFresh, TARGETS } from '../../../.ci/lib/targets.mjs';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'fieldbook-build-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

describe('a fingerprint', () => {
  it('is that of names and bytes, not of times', () => {
    write('a/x.ts', '1');
    write('a/b/y.ts', '2');
    const before = fingerprint(root, ['a']);
    write('a/x.ts', '1');
    expect(fingerprint(root, ['a'])).toBe(before);
    write('a/x.ts', '12');
    const changed = fingerprint(root, ['a']);
    expect(changed).not.toBe(before);
    rmSync(join(root, 'a/b/y.ts'));
    expect(fingerprint(root, ['a'])).not.toBe(changed);
  });

  it('tells a byte moved from one file to the next', () => {
    write('a/x', '12');
    write('a/y', '3');
    const before = fingerprint(root, ['a']);
    write('a/x', '1');
    write('a/y', '23');
    expect(fingerprint(root, ['a'])).not.toBe(before);
  });

  it('leaves out what is built or installed, and what is not there', () => {
    write('a/x.ts', '1');
    write('a/dist/x.js', '1');
    write('a/node_modules/z/index.js', '1');
    expect(filesUnder(root, 'a')).toEqual(['a/x.ts']);
    expect(filesUnder(root, 'none')).toEqual([]);
  });
});

describe('a target', () => {
  const agent = TARGETS.find((target) => target.name === 'node-agent')!;
  const stamp = () => write('packages/node-agent/dist/.stamp', inputsOf(agent, root));

  beforeEach(() => {
    write('packages/core/src/index.ts', 'export {};');
    write('packages/node-agent/src/index.ts', 'export {};');
    stamp();
  });

  it('is fresh until one of its sources changes, or one of a package that it needs', () => {
    expect(isFresh(agent, root)).toBe(true);
    write('packages/node-agent/src/index.ts', 'export const x = 1;');
    expect(isFresh(agent, root)).toBe(false);
    stamp();
    expect(isFresh(agent, root)).toBe(true);
    write('packages/core/src/index.ts', 'export const x = 1;');
    expect(isFresh(agent, root)).toBe(false);
  });

  it('does not care for tests', () => {
    write('packages/core/src/index.test.ts', 'x');
    expect(isFresh(agent, root)).toBe(true);
  });

  it('is stale when what was built is gone', () => {
    rmSync(join(root, 'packages/node-agent/dist'), { recursive: true });
    expect(isFresh(agent, root)).toBe(false);
  });

  it('is stale when a dependency changes', () => {
    write('package-lock.json', '{}');
    expect(isFresh(agent, root)).toBe(false);
  });
});

describe('installed packages', () => {
  it('are compared with the lockfile by folder and version', () => {
    const wanted = {
      '': { version: '0.1.0' },
      'packages/core': { version: '0.1.0' },
      'node_modules/@fieldbook/core': { link: true },
      'node_modules/yjs': { version: '13.6.33' },
      'node_modules/ws': { version: '8.23.0' },
      'node_modules/a/node_modules/ws': { version: '7.0.0' },
      'node_modules/fsevents': { version: '2.3.3', optional: true },
    };
    const installed = {
      'node_modules/yjs': { version: '13.6.33' },
      'node_modules/ws': { version: '8.0.0' },
    };
    expect(missingPackages(wanted, installed)).toEqual(['node_modules/ws', 'node_modules/a/node_modules/ws']);
  });
});

describe('an old Node', () => {
  it.each(['18.20.4', '20.18.3', '12.0.0'])('is told so: %s', (version) => {
    expect(tooOld(version)).toMatch(new RegExp(`needs Node 20\\.19 or newer; this is Node ${version}`));
  });

  it.each(['20.19.0', '20.20.2', '22.0.0', '25.1.0'])('is not seen in %s', (version) => {
    expect(tooOld(version)).toBeNull();
  });
});
