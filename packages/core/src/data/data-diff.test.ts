import { describe, expect, it } from 'vitest';
import { diffDataLists } from './data-diff.ts';
import type { DataAlgorithm, DataFile, DataList } from './data-list.ts';
import { compareUtf8, treeDigest } from './data-list.ts';

type Named = readonly [path: string, size: number, digest: string, algorithm?: DataAlgorithm];

function list(...files: readonly Named[]): DataList {
  const sorted = files
    .map(([path, size, digest, algorithm = 'sha256']): DataFile => ({ path, size, digest, algorithm, modified: null }))
    .sort((a, b) => compareUtf8(a.path, b.path));
  const bytes = sorted.reduce((sum, { size }) => sum + size, 0);
  return { root: '/d', from: 'files', digest: treeDigest(sorted), bytes, notes: [], files: sorted };
}

const paths = (files: readonly { path: string }[]): string[] => files.map(({ path }) => path);
const MD5 = '0cc175b9c0f1b6a831c399e269772661';

describe('diffDataLists', () => {
  it('[DAT-10] finds nothing between equal lists', () => {
    const one = list(['a', 1, 'x'], ['b', 2, 'y']);
    expect(diffDataLists(one, list(['b', 2, 'y'], ['a', 1, 'x']))).toMatchObject({ same: true, kept: 2, keptBytes: 3 });
    expect(diffDataLists(list(), list()).same).toBe(true);
  });

  it('[DAT-10] tells added, removed and changed files apart', () => {
    const diff = diffDataLists(
      list(['a', 1, 'x'], ['b', 2, 'y'], ['c', 3, 'z'], ['d', 4, 'q']),
      list(['a', 1, 'x'], ['b', 2, 'Y'], ['c', 30, 'z'], ['e', 5, 'e'], ['😀', 1, 's']),
    );
    expect(diff.same).toBe(false);
    expect([paths(diff.added), paths(diff.removed), paths(diff.changed), diff.kept]).toEqual([
      ['e', '😀'],
      ['d'],
      ['b', 'c'],
      1,
    ]);
  });

  it('[DAT-10] calls a file moved only where its content was at one place and is at one other', () => {
    const moved = diffDataLists(list(['old/a', 5, 'x']), list(['new/a', 5, 'x']));
    expect(moved).toMatchObject({
      same: false,
      added: [],
      removed: [],
      moved: [{ from: 'old/a', to: 'new/a', size: 5 }],
    });
    const twice = diffDataLists(list(['a', 5, 'x'], ['b', 5, 'x']), list(['c', 5, 'x']));
    expect([twice.moved, paths(twice.removed), paths(twice.added)]).toEqual([[], ['a', 'b'], ['c']]);
    const copies = diffDataLists(list(['a', 5, 'x']), list(['b', 5, 'x'], ['c', 5, 'x']));
    expect([copies.moved, paths(copies.added)]).toEqual([[], ['b', 'c']]);
    expect(diffDataLists(list(['a', 0, 'x']), list(['b', 0, 'x'])).moved).toEqual([]);
  });

  it('[DAT-10] does not claim to know what differently named contents are', () => {
    const before = list(
      ['a', 1, 'x'],
      ['b', 1, MD5, 'md5'],
      ['c', 1, 'q-2', 'etag'],
      ['d', 0, 'EACCES', 'none'],
      ['e', 1, 'x'],
    );
    const after = list(
      ['a', 1, MD5, 'md5'],
      ['b', 1, MD5, 'etag'],
      ['c', 1, 'q-3', 'etag'],
      ['d', 0, 'EACCES', 'none'],
      ['e', 2, MD5, 'md5'],
    );
    const diff = diffDataLists(before, after);
    expect([paths(diff.unknown), paths(diff.changed), diff.kept]).toEqual([['a', 'c', 'd'], ['e'], 1]);
    expect(diff.same).toBe(false);
  });
});
