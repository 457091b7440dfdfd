import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../../.ci/lib/paths.mjs';

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lockfile = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, Locked>;
};
const packages = Object.entries(lockfile.packages);
const installed = packages.filter(([folder, each]) => folder.includes('node_modules/') && each.link !== true);

describe('the lockfile', () => {
  it('names no host to download from', () => {
    expect(packages.filter(([, { resolved }]) => resolved?.includes('://')).map(([folder]) => folder)).toEqual([]);
  });

  it('has a checksum for every package', () => {
    expect(installed.length).toBeGreaterThan(100);
    expect(installed.filter(([, { integrity }]) => !integrity).map(([folder]) => folder)).toEqual([]);
  });

  // A registry that lacks a platform's binding leaves it out without a word, and then `npm ci` refuses the file.
  it('has the bindings of every platform', () => {
    const present = new Set(packages.map(([folder]) => folder.split('node_modules/').at(-1)));
    const missing = packages.flatMap(([folder, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies)
        .filter((name) => !present.has(name))
        .map((name) => `${folder} → ${name}`),
    );
    expect(missing).toEqual([]);
  });

  it.each(['yjs', 'lib0', 'abstract-level', 'classic-level', 'svelte'])('has exactly one copy of %s', (name) => {
    const copies = installed.filter(([folder]) => folder.split('node_modules/').at(-1) === name);
    expect(copies.map(([folder]) => folder)).toEqual([`node_modules/${name}`]);
  });

  it('pins what the packages ask for', () => {
    const own = packages.filter(([folder]) => folder === '' || /^packages\/[^/]+$/.test(folder));
    const loose = own.flatMap(([folder, { dependencies, devDependencies }]) =>
      Object.entries({ ...dependencies, ...devDependencies })
        .filter(([, range]) => !/^\d+\.\d+\.\d+$/.test(range))
        .map(([name, range]) => `${folder}: ${name} ${range}`),
    );
    expect(own.length).toBeGreaterThanOrEqual(5);
    expect(loose).toEqual([]);
  });
});
