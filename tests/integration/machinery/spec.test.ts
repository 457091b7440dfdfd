import { describe, expect, it } from 'vitest';
import { disagreements, namedIn, rulesOf, titlesOfPython, titlesOfTypeScript } from '../../../.ci/lib/spec-rules.mjs';

const SPEC = `
# Rules
- **HLC-1** Readings increase.
- **HLC-2** See **HLC-1**, which is not defined here again.

**REC-10** A paragraph can be a rule.
`;

/** The ids that the tests of a TypeScript source name. */
const ids = (source: string) => titlesOfTypeScript('x.test.ts', source).flatMap((title) => title.ids);

describe('rules', () => {
  it('are list items and paragraphs that begin with a bold id', () => {
    expect(rulesOf(SPEC)).toEqual([
      { id: 'HLC-1', line: 3 },
      { id: 'HLC-2', line: 4 },
      { id: 'REC-10', line: 6 },
    ]);
  });

  it('are named in brackets, several at once if need be', () => {
    expect(namedIn('[HLC-1] and [REC-1, REC-2]')).toEqual(['HLC-1', 'REC-1', 'REC-2']);
    expect(namedIn('HLC-1, [hlc-1], [HLC], (HLC-1)')).toEqual([]);
  });
});

describe('titles in TypeScript', () => {
  it('are those of it, test and describe', () => {
    expect(
      ids(`it('[A-1] x', () => {}); test("[A-2]", f); describe('[A-3]', () => { it(\`[A-4] \${seed}\`) })`),
    ).toEqual(['A-1', 'A-2', 'A-3', 'A-4']);
  });

  it('may come with a table or a condition', () => {
    expect(ids(`it.each([1])('[A-1] %s', f); it.skipIf(x)('[A-2]', f); it.each\`a\`('[A-3]', f)`)).toEqual([
      'A-1',
      'A-2',
      'A-3',
    ]);
  });

  it('do not count where the test does not run', () => {
    expect(ids(`it.skip('[A-1]', f); it.todo('[A-2]'); describe.skip('x', () => { it('[A-3]', f); })`)).toEqual([]);
  });

  it('are not looked for in comments and other strings', () => {
    expect(ids(`// it('[A-1]')\nconst x = '[A-2]'; log('[A-3]');`)).toEqual([]);
  });

  it('come with the place', () => {
    expect(titlesOfTypeScript('a.test.ts', `\n\nit('[A-1] holds', f);`)).toEqual([
      { ids: ['A-1'], title: '[A-1] holds', where: 'a.test.ts:3' },
    ]);
  });
});

describe('titles in Python', () => {
  it('are in the docstrings of test functions and classes', () => {
    const source = [
      'def helper():',
      '    """[B-0] is not a test."""',
      '',
      'def test_one(tmp_path: Path, *, n: int = 1) -> None:',
      '    """[B-1] holds."""',
      '',
      'class TestTwo:',
      "    r'''Long.",
      '',
      "    [B-2, B-3]'''",
      '    async def test_three(',
      '        self,',
      '    ) -> None:',
      '        """[B-4]"""',
      '',
      'def test_none() -> None:',
      '    assert "[B-5]"',
    ].join('\n');
    expect(titlesOfPython('test_x.py', source)).toEqual([
      { ids: ['B-1'], title: 'test_one', where: 'test_x.py:4' },
      { ids: ['B-2', 'B-3'], title: 'TestTwo', where: 'test_x.py:7' },
      { ids: ['B-4'], title: 'test_three', where: 'test_x.py:11' },
    ]);
  });
});

describe('disagreements', () => {
  const title = (...named: string[]) => ({ ids: named, title: 't', where: 'x.test.ts:1' });

  it('are none when each side names the other', () => {
    expect(disagreements(rulesOf(SPEC), [title('HLC-1', 'HLC-2'), title('REC-10')])).toEqual([]);
  });

  it('are rules without a test', () => {
    expect(disagreements(rulesOf(SPEC), [title('HLC-1', 'REC-10')])).toEqual(['SPEC.md:4: no test names HLC-2']);
  });

  it('are tests without a rule', () => {
    expect(disagreements([{ id: 'HLC-1', line: 1 }], [title('HLC-1', 'HLC-9')])).toEqual([
      'x.test.ts:1: "t" names HLC-9, which is no rule',
    ]);
  });

  it('are rules defined twice', () => {
    const twice = [
      { id: 'HLC-1', line: 1 },
      { id: 'HLC-1', line: 5 },
    ];
    expect(disagreements(twice, [title('HLC-1')])).toEqual(['SPEC.md:5: HLC-1 is already the rule of line 1']);
  });
});
