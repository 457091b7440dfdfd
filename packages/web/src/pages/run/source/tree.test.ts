import { describe, expect, it } from 'vitest';
import type { FileLine } from '../../../worker/files-api.ts';
import { parsePatch } from '../../../app/patch.ts';
import { changeOf } from './change.ts';
import { cellsOf, sourceItems } from './tree.ts';

const file = (path: string, current = true): FileLine => ({ path, current }) as FileLine;

describe('what there is of source', () => {
  it('[SRC-3] changes come first, then untracked files, notebook, kept files with what was started, and configuration; nothing else and nothing old', () => {
    const changes = parsePatch('diff --git a/model.py b/model.py\n@@ -1 +1 @@\n-a\n+b\n').map(changeOf);
    const files = [
      file('config/base.yaml'),
      file('source/files/lib/model.py'),
      file('source/files/train.py'),
      file('source/diff.patch'),
      file('source/untracked/scratch.py'),
      file('source/notebook.py'),
      file('source/files/gone.py', false),
      file('models/best.pt'),
    ];
    const items = sourceItems(files, changes, 'train.py');
    expect(items.map(({ id, path, section, entry }) => [id, path, section, entry])).toEqual([
      ['diff:model.py', 'model.py', 'changes', false],
      ['source/untracked/scratch.py', 'scratch.py', 'untracked', false],
      ['source/notebook.py', 'notebook.py', 'notebook', false],
      ['source/files/train.py', 'train.py', 'snapshot', true],
      ['source/files/lib/model.py', 'lib/model.py', 'snapshot', false],
      ['config/base.yaml', 'base.yaml', 'config', false],
    ]);
  });

  it('[SRC-3] a notebook is its cells in the order in which they were executed', () => {
    expect(cellsOf('# %% [1]\nimport x\n# %% [3]\nx.run()\n\ny = 1\n')).toEqual([
      { number: '1', text: 'import x' },
      { number: '3', text: 'x.run()\n\ny = 1' },
    ]);
    expect(cellsOf('print(1)\n')).toEqual([{ number: '', text: 'print(1)' }]);
    expect(cellsOf('')).toEqual([]);
  });
});
