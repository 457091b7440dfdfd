import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesUnder } from '../../../.ci/lib/fingerprint.mjs';
import { ROOT } from '../../../.ci/lib/paths.mjs';

const PAGES = [
  ...['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'].filter((path) => existsSync(join(ROOT, path))),
  ...['docs', 'packages', 'bench', 'examples'].flatMap((folder) =>
    filesUnder(ROOT, folder).filter((path) => path.endsWith('.md') && !path.includes('/.')),
  ),
];

/** The targets of links and pictures, without code blocks, which may show links of something else. */
function linksOf(path: string): string[] {
  const text = readFileSync(join(ROOT, path), 'utf8')
    .replaceAll(/```[^]*?```/g, '')
    .replaceAll(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)[^)]*\)/g)].map((match) => match[1]!);
}

describe('the documentation', () => {
  it.each(PAGES)('%s links to files that exist', (path) => {
    const local = linksOf(path).filter((link) => !/^(?:[a-z]+:|#)/.test(link));
    const missing = local.filter((link) => !existsSync(join(ROOT, dirname(path), decodeURI(link.split('#')[0]!))));
    expect(missing).toEqual([]);
  });

  it.each(['docs', 'docs/decisions'])('has every page of %s in its index', (folder) => {
    const indexed = new Set(linksOf(`${folder}/README.md`).map((link) => join(folder, link.split('#')[0]!)));
    const pages = filesUnder(ROOT, folder).filter((path) => path.endsWith('.md') && !path.endsWith('/README.md'));
    const own = folder === 'docs' ? pages.filter((path) => !path.startsWith('docs/decisions/')) : pages;
    expect(own.length).toBeGreaterThan(0);
    expect(own.filter((path) => !indexed.has(path))).toEqual([]);
  });
});
