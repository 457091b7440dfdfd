import { describe, expect, it } from 'vitest';
import { languageOf, loadLanguage } from './languages.ts';

describe('languages of files', () => {
  it('[SRC-1] a file is highlighted as what its name promises, and as plain text when that is nothing', () => {
    const cases: readonly (readonly [string, string | null])[] = [
      ['source/files/train.py', 'python'],
      ['config/base.YAML', 'yaml'],
      ['environment/files/Dockerfile', 'dockerfile'],
      ['docker/Dockerfile.gpu', 'dockerfile'],
      ['pyproject.toml', 'toml'],
      ['poetry.lock', 'toml'],
      ['run.sh', 'shell'],
      ['Makefile', 'shell'],
      ['kernels/attention.cu', 'c'],
      ['README', null],
      ['py', 'python'],
      ['weights.bin', null],
      ['a.py/readme', null],
    ];
    expect(cases.map(([name]) => [name, languageOf(name)])).toEqual(cases);
  });

  it('[SRC-1] every language that a name can promise loads', async () => {
    for (const name of [
      'a.py',
      'a.json',
      'a.yaml',
      'a.md',
      'a.toml',
      'a.sh',
      'Dockerfile',
      'a.ini',
      'a.diff',
      'a.c',
      'a.js',
      'a.r',
      'a.jl',
      'a.rs',
      'a.sql',
      'a.xml',
      'a.css',
      'a.cmake',
      'a.lua',
    ]) {
      const language = languageOf(name);
      expect(language, name).not.toBeNull();
      expect((await loadLanguage(language!))?.language.parser, name).toBeDefined();
    }
  });
});
