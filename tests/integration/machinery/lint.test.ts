import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../../.ci/lib/paths.mjs';

interface Finding {
  readonly code: string;
  readonly message: string;
  readonly filename: string;
}

const folder = mkdtempSync(join(tmpdir(), 'fieldbook-lint-'));

/** A copy of the repository's rules over files that break them. */
const files: Record<string, string> = {};
let findings: Finding[] = [];

/** Each case is its own file, so that a finding belongs to exactly one case. */
const CORE_IMPURITIES: readonly (readonly [name: string, source: string, code: string])[] = [
  ['node import', `import 'node:fs';`, 'no-restricted-imports'],
  ['bare Node import', `import 'fs/promises';`, 'no-restricted-imports'],
  ['socket import', `import 'ws';`, 'no-restricted-imports'],
  ['store import', `import 'classic-level';`, 'no-restricted-imports'],
  ['dynamic import', `export const os = () => import('node:os');`, 'no-restricted-imports'],
  ['re-export', `export * from 'node:path';`, 'no-restricted-imports'],
  ['type import', `export type { WebSocket } from 'ws';`, 'no-restricted-imports'],
  ['agent import', `import '@fieldbook/node-agent';`, 'no-restricted-imports'],
  ['relay file', `import '../../relay/src/index.ts';`, 'no-restricted-imports'],
  ['Date.now', `export const x = Date.now();`, 'no-restricted-globals'],
  ['new Date', `export const x = new Date();`, 'no-restricted-globals'],
  ['Math.random', `export const x = Math.random();`, 'no-restricted-properties'],
  ['random taken out of Math', `export const { random } = Math;`, 'no-restricted-properties'],
  ['globalThis', `export const x = globalThis['Date' as keyof object];`, 'no-restricted-globals'],
  ...[
    'console',
    'window',
    'document',
    'fetch',
    'process',
    'Buffer',
    'WebSocket',
    'performance',
    'crypto',
    'localStorage',
    'indexedDB',
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'setImmediate',
    'queueMicrotask',
    'require',
  ].map((name) => [name, `export const x = ${name};`, 'no-restricted-globals'] as const),
];

const CROSSINGS: readonly (readonly [file: string, source: string])[] = [
  ['packages/core/src/crossing.test.ts', `import '@fieldbook/relay';`],
  ['packages/web/src/agent.ts', `import '@fieldbook/node-agent';`],
  ['packages/web/src/relay.ts', `import '../../relay/src/index.ts';`],
  ['packages/web/src/Agent.svelte', `<script lang="ts">import '@fieldbook/node-agent';</script>`],
  ['packages/node-agent/src/relay.ts', `import '@fieldbook/relay';`],
  ['packages/node-agent/src/web.ts', `import '../../web/src/app.ts';`],
  ['packages/relay/src/agent.ts', `import '@fieldbook/node-agent';`],
  ['packages/relay/src/web.ts', `import '@fieldbook/web/x';`],
  ['packages/relay/src/inside.ts', `import '@fieldbook/core/src/ids.ts';`],
  ['tests/inside.ts', `import '@fieldbook/core/dist/ids.js';`],
];

const PROMISES: readonly (readonly [name: string, source: string])[] = [
  ['no-floating-promises', `export async function f() {}\nf();`],
  ['no-misused-promises', `export async function f() { return true; }\nif (f()) throw new Error();`],
  ['await-thenable', `export const x = await 1;`],
];

const ALLOWED = `
import * as Y from 'yjs';
import { createDecoder } from 'lib0/decoding';
import { sha256 } from '@noble/hashes/sha2.js';
import { LIMITS } from './limits.ts';
import { other } from '../other/index.ts';
import '@fieldbook/core/record';
export const x = [Y, createDecoder, sha256, LIMITS, other, Math.max(1, 2)];
`;

beforeAll(() => {
  CORE_IMPURITIES.forEach(([, source], n) => (files[`packages/core/src/impure-${n}.ts`] = source));
  for (const [file, source] of CROSSINGS) files[file] = source;
  for (const [rule, source] of PROMISES) files[`packages/relay/src/${rule}.ts`] = source;
  files['packages/core/src/allowed.ts'] = ALLOWED;
  files['packages/core/src/clock.test.ts'] = `export const x = [Date.now(), Math.random(), console];`;
  for (const [file, source] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), source);
  }
  copyFileSync(join(ROOT, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
  copyFileSync(join(ROOT, 'tsconfig.base.json'), join(folder, 'tsconfig.base.json'));
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: './tsconfig.base.json',
      compilerOptions: { composite: false, noEmit: true, types: ['node'] },
      include: ['packages', 'tests'],
    }),
  );
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));

  const linted = spawnSync(
    process.execPath,
    [join(ROOT, 'node_modules/oxlint/bin/oxlint'), '--format=json', 'packages', 'tests'],
    { cwd: folder, encoding: 'utf8', timeout: 60_000 },
  );
  if (linted.status !== 1) throw new Error(`oxlint did not find fault: ${linted.stdout}${linted.stderr}`);
  findings = (JSON.parse(linted.stdout) as { diagnostics: Finding[] }).diagnostics;
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The rules that complain about one file, as `plugin(rule)`. */
function complaintsAbout(file: string): string[] {
  return findings.filter((finding) => finding.filename.replaceAll('\\', '/').endsWith(file)).map(({ code }) => code);
}

describe('the purity of core', () => {
  it.each(CORE_IMPURITIES)('refuses: %s', (name, _source, code) => {
    const n = CORE_IMPURITIES.findIndex((each) => each[0] === name);
    expect(complaintsAbout(`packages/core/src/impure-${n}.ts`)).toContain(`eslint(${code})`);
  });

  it('allows core itself and the pure packages it is made of', () => {
    expect(complaintsAbout('packages/core/src/allowed.ts')).toEqual([]);
  });

  it('does not bind tests', () => {
    expect(complaintsAbout('packages/core/src/clock.test.ts')).toEqual([]);
  });
});

describe('the borders between packages', () => {
  it.each(CROSSINGS)('refuses %s: %s', (file) => {
    expect(complaintsAbout(file)).toContain('eslint(no-restricted-imports)');
  });
});

describe('promises', () => {
  it.each(PROMISES)('%s', (rule) => {
    expect(complaintsAbout(`packages/relay/src/${rule}.ts`)).toContain(`typescript(${rule})`);
  });
});
