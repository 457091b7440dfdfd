import { describe, expect, it } from 'vitest';
import { changeOf } from '../pages/run/source/change.ts';
import { parsePatch, sidesOf } from './patch.ts';

const PATCH = `diff --git a/model.py b/model.py
index 08c6370..5a76cea 100644
--- a/model.py
+++ b/model.py
@@ -3,5 +3,5 @@ import math
 
 class Model:
-    depth = 3
+    depth = 4
     width = 64
 
@@ -20,2 +20,3 @@ def forward(self):
     x = 1
+    y = 2
     return x
\\ No newline at end of file
diff --git a/old name.py b/new name.py
similarity index 90%
rename from old name.py
rename to new name.py
--- a/old name.py
+++ b/new name.py
@@ -1 +1 @@
-a
+b
diff --git a/gone.py b/gone.py
deleted file mode 100644
index 1..0
--- a/gone.py
+++ /dev/null
@@ -1,2 +0,0 @@
--- this line looks like a head
-second
diff --git "a/gr\\303\\266\\303\\237e.py" "b/gr\\303\\266\\303\\237e.py"
new file mode 100644
--- /dev/null
+++ "b/gr\\303\\266\\303\\237e.py"
@@ -0,0 +1 @@
+x = 1
diff --git a/logo.png b/logo.png
index 1..2 100644
GIT binary patch
literal 10
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
`;

describe('a patch', () => {
  it('[SRC-2] is read as files with what happened to each, whatever their names and lines look like', () => {
    const files = parsePatch(PATCH);
    expect(
      files
        .map(changeOf)
        .map(({ path, from, status, file, added, removed }) => [path, from, status, file.binary, added, removed]),
    ).toEqual([
      ['model.py', null, 'changed', false, 2, 1],
      ['new name.py', 'old name.py', 'renamed', false, 1, 1],
      ['gone.py', null, 'removed', false, 0, 2],
      ['größe.py', null, 'added', false, 1, 0],
      ['logo.png', null, 'changed', true, 0, 0],
      ['run.sh', null, 'mode', false, 0, 0],
    ]);
    expect(files[2]!.hunks[0]!.lines.map(({ kind, text }) => kind + text)).toEqual([
      '--- this line looks like a head',
      '-second',
    ]);
  });

  it('[SRC-2] shows both sides with the numbers that their lines have in the files', () => {
    const { before, after, numbers } = sidesOf(parsePatch(PATCH)[0]!);
    expect(before.split('\n')).toEqual([
      '⋯ import math',
      '',
      'class Model:',
      '    depth = 3',
      '    width = 64',
      '',
      '⋯ def forward(self):',
      '    x = 1',
      '    return x',
    ]);
    expect(numbers.before).toEqual([null, 3, 4, 5, 6, 7, null, 20, 21]);
    expect(after.split('\n')[3]).toBe('    depth = 4');
    expect(numbers.after).toEqual([null, 3, 4, 5, 6, 7, null, 20, 21, 22]);
  });

  it('[SRC-10] ends the last line of both sides, unless the file does not, so that what is added below changes nothing above', () => {
    const sides = (text: string) => sidesOf(parsePatch(`diff --git a/x b/x\n--- a/x\n+++ b/x\n${text}`)[0]!);
    const more = sides('@@ -1,2 +1,3 @@\n one\n two\n+three\n');
    expect([more.before, more.after]).toEqual(['one\ntwo\n', 'one\ntwo\nthree\n']);
    expect(more.numbers).toEqual({ before: [1, 2, null], after: [1, 2, 3, null] });
    const end = sides('@@ -1 +1 @@\n-two\n\\ No newline at end of file\n+two\n');
    expect([end.before, end.after]).toEqual(['two', 'two\n']);
    const both = sides('@@ -1,2 +1,2 @@\n-one\n+eins\n two\n\\ No newline at end of file\n');
    expect([both.before, both.after]).toEqual(['one\ntwo', 'eins\ntwo']);
    expect(sides('@@ -0,0 +1 @@\n+x\n')).toMatchObject({ before: '', after: 'x\n' });
  });

  it('[SRC-2] that is none, or is cut, is no reason to fail', () => {
    expect(parsePatch('hello\n@@ -1 +1 @@\n-x')).toEqual([]);
    expect(parsePatch(PATCH.slice(0, PATCH.indexOf('ass Model')))[0]).toMatchObject({
      after: 'model.py',
      hunks: [{ lines: [{ text: '' }, { text: 'cl' }] }],
      cut: true,
    });
    expect(parsePatch('diff --git a/x b/x\n@@ broken @@\n+a')).toMatchObject([{ after: 'x', hunks: [] }]);
  });
});
