import { describe, expect, it } from 'vitest';
import { parsePatch, sidesOf, undone } from '../app/patch.ts';
import type { SourceSide } from './source-diff.ts';
import { sourceChanges } from './source-diff.ts';

const PATCH = `diff --git a/train.py b/train.py
index 1..2 100644
--- a/train.py
+++ b/train.py
@@ -1,4 +1,4 @@
 import numpy
-lr = 0.1
+lr = 0.2
 for step in range(10):
     pass
@@ -9,2 +9,4 @@ def last():
     nine
     ten
+    eleven
+    twelve
\\ No newline at end of file
diff --git "a/na\\303\\257ve.txt" "b/na\\303\\257ve.txt"
new file mode 100644
--- /dev/null
+++ "b/na\\303\\257ve.txt"
@@ -0,0 +1 @@
+new
diff --git a/weights.bin b/weights.bin
index 3..4 100644
GIT binary patch
literal 4
Lc\${NkU|;|M00aO5

literal 4
Lc\${NkU|;|M00aO5

diff --git a/old.py b/moved.py
similarity index 90%
rename from old.py
rename to moved.py
`;
const AFTER =
  'import numpy\nlr = 0.2\nfor step in range(10):\n    pass\n\nfive\nsix\nseven\n    nine\n    ten\n    eleven\n    twelve';
const BEFORE = 'import numpy\nlr = 0.1\nfor step in range(10):\n    pass\n\nfive\nsix\nseven\n    nine\n    ten\n';

describe('a git patch', () => {
  it('[CMP-1] is read file by file: changes, new and renamed files, binary ones, names beyond ASCII', () => {
    const files = parsePatch(PATCH);
    expect(files.map(({ before, after, binary, hunks }) => [before, after, binary, hunks.length])).toEqual([
      ['train.py', 'train.py', false, 2],
      [null, 'naïve.txt', false, 1],
      ['weights.bin', 'weights.bin', true, 0],
      ['old.py', 'moved.py', false, 0],
    ]);
    const { before, numbers } = sidesOf(files[0]!);
    expect(before).toBe('import numpy\nlr = 0.1\nfor step in range(10):\n    pass\n⋯ def last():\n    nine\n    ten\n');
    expect(numbers.before).toEqual([1, 2, 3, 4, null, 9, 10, null]);
    expect(parsePatch('nothing of the kind')).toEqual([]);
    // Cut in the middle of the second hunk: what there is can be looked at, and not be taken back.
    const [cut] = parsePatch(PATCH.slice(0, PATCH.indexOf('+    eleven')));
    expect(cut).toMatchObject({ cut: true, hunks: [{}, {}] });
    expect(undone(cut!, AFTER)).toBeUndefined();
  });

  it('[CMP-1] taken back gives what was before, and nothing for a text that it is not of', () => {
    const [train] = parsePatch(PATCH);
    expect(undone(train!, AFTER)).toBe(BEFORE);
    expect(undone(train!, AFTER.replace('lr = 0.2', 'lr = 0.3'))).toBeUndefined();
    expect(undone(train!, '')).toBeUndefined();
  });
});

const side = (given: Partial<SourceSide>): SourceSide => ({
  commit: 'c1',
  patch: [],
  files: new Map(),
  untracked: new Set(),
  absent: new Set(),
  ...given,
});
const brief = (a: SourceSide, b: SourceSide): unknown[] =>
  sourceChanges(a, b).map(({ path, kind, before, after }) => [path, kind, before, after]);

describe('the sources of two runs', () => {
  const dirty = side({
    patch: parsePatch(PATCH),
    files: new Map([
      ['train.py', AFTER],
      ['scratch.py', 'x'],
    ]),
    untracked: new Set(['scratch.py']),
  });

  it('[CMP-1] of one commit, one of them changed, differ by exactly what was changed, though only one was captured', () => {
    const changes = brief(side({}), dirty);
    expect(changes).toContainEqual(['train.py', 'changed', BEFORE, AFTER]);
    expect(changes).toContainEqual(['scratch.py', 'added', '', 'x']);
    expect(changes).toContainEqual(['naïve.txt', 'added', '', 'new\n']);
    expect(brief(dirty, side({}))).toContainEqual(['train.py', 'changed', AFTER, BEFORE]);
    expect(brief(dirty, side({}))).toContainEqual(['scratch.py', 'removed', 'x', '']);
    expect(brief(dirty, dirty)).toEqual([]);
    expect(brief(side({}), side({ files: new Map([['a.py', 'as committed']]) }))).toEqual([]);
  });

  it('[CMP-1] name what was renamed once, with the path it had, and what else changed in it', () => {
    const patch = parsePatch(`diff --git a/old.py b/moved.py
similarity index 100%
rename from old.py
rename to moved.py
diff --git a/a.py b/b.py
similarity index 70%
rename from a.py
rename to b.py
index 1..2 100644
--- a/a.py
+++ b/b.py
@@ -1,2 +1,2 @@
 one
-two
+deux
`);
    const tell = (a: SourceSide, b: SourceSide): unknown[] =>
      sourceChanges(a, b).map(({ path, kind, from, before, after }) => [path, kind, from, before, after]);
    const captured = side({
      patch,
      files: new Map([
        ['moved.py', 'x'],
        ['b.py', 'one\ndeux\n'],
      ]),
    });
    expect(tell(side({}), captured)).toEqual([
      ['b.py', 'renamed', 'a.py', 'one\ntwo\n', 'one\ndeux\n'],
      ['moved.py', 'renamed', 'old.py', 'x', 'x'],
    ]);
    expect(tell(captured, side({}))).toEqual([
      ['a.py', 'renamed', 'b.py', 'one\ndeux\n', 'one\ntwo\n'],
      ['old.py', 'renamed', 'moved.py', 'x', 'x'],
    ]);
    // Of what was not captured, the patch tells.
    expect(tell(side({}), side({ patch }))).toEqual([
      ['b.py', 'renamed', 'a.py', 'one\ntwo\n', 'one\ndeux\n'],
      ['moved.py', 'renamed', 'old.py', '', ''],
    ]);
    expect(tell(captured, captured)).toEqual([]);
    expect(tell(side({ patch }), side({ patch }))).toEqual([]);
  });

  it('[CMP-1] differ where only one ends its last line', () => {
    const patch = parsePatch(`diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,2 +1,2 @@
 one
-two
\\ No newline at end of file
+two
`);
    expect(brief(side({}), side({ patch, files: new Map([['a.py', 'one\ntwo\n']]) }))).toEqual([
      ['a.py', 'changed', 'one\ntwo', 'one\ntwo\n'],
    ]);
    expect(brief(side({}), side({ patch }))).toEqual([['a.py', 'changed', 'one\ntwo', 'one\ntwo\n']]);
  });

  it('[CMP-1] whose contents were captured are compared whatever git says', () => {
    const [a, b] = [
      side({ commit: null, files: new Map([['a.py', '1']]) }),
      side({ commit: 'c2', files: new Map([['a.py', '2']]) }),
    ];
    expect(brief(a, b)).toEqual([['a.py', 'changed', '1', '2']]);
  });

  it('[CMP-1] say what is not known instead of calling it the same', () => {
    const other = side({ commit: 'c2', files: new Map([['a.py', '2']]) });
    expect(brief(side({}), other)).toEqual([['a.py', 'unknown', null, '2']]);
    // Of one commit, but the patch of the first is not here: it may have changed that file too.
    expect(brief(side({ patch: null }), side({ files: new Map([['a.py', '2']]) }))).toEqual([
      ['a.py', 'unknown', null, '2'],
    ]);
    expect(
      brief(
        side({ absent: new Set(['b.py']), untracked: new Set(['b.py']) }),
        side({ files: new Map([['b.py', 'x']]) }),
      ),
    ).toEqual([['b.py', 'unknown', null, 'x']]);
    // Binary in the patch of one of them.
    expect(brief(side({}), side({ patch: parsePatch(PATCH).slice(2, 3) }))).toEqual([
      ['weights.bin', 'changed', null, null],
    ]);
  });
});
