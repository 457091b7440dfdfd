import { describe, expect, it } from 'vitest';
import type { Column } from './table.ts';
import { facts, table } from './table.ts';
import type { Terminal } from './terminal.ts';
import { displayWidth, manyLines } from './width.ts';

const terminal = (override: Partial<Terminal> = {}): Terminal => ({
  out: () => undefined,
  write: async () => undefined,
  err: () => undefined,
  interactive: false,
  progress: false,
  colour: false,
  columns: 40,
  stdinIsTerminal: false,
  askHidden: () => Promise.reject(new Error('nobody types here')),
  readStdin: async () => '',
  ...override,
});

interface Row {
  run: string;
  name: string;
  n: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'RUN', text: (row) => row.run },
  { title: 'NAME', shrink: true, text: (row) => row.name },
  { title: 'N', right: true, text: (row) => row.n },
];
const ROWS = [
  { run: 'r1', name: '漢字 and a name that goes on and on and on', n: '5' },
  { run: 'run-2', name: 'short', n: '1200' },
];

describe('tables', () => {
  it('aligns columns by what they take on the screen', () => {
    expect(table(terminal(), COLUMNS, [ROWS[1]!, { run: 'r1', name: '漢字', n: '5' }])).toBe(
      'RUN    NAME      N\nrun-2  short  1200\nr1     漢字      5\n',
    );
  });

  it('cuts what may be cut to fit a terminal, and nothing in a pipe', () => {
    const narrow = table(terminal({ interactive: true }), COLUMNS, ROWS).split('\n');
    expect(Math.max(...narrow.map(displayWidth))).toBe(40);
    expect(narrow[1]).toContain('…');
    expect(table(terminal(), COLUMNS, ROWS)).toContain(ROWS[0]!.name);
  });

  it('[CLI-6] lets a long fact go on below itself on a terminal, and leaves it in one line elsewhere', () => {
    const long =
      'the script said nothing of it, 全角文字全角文字全角文字全角文字全角文字 and a commit 22fbfb47da8067d97534b21f51a91b8965e58008 🙂';
    const lines: [string, string][] = [
      ['a', long],
      ['label', 'short'],
    ];
    expect(facts(terminal(), lines)).toBe(`a      ${long}\nlabel  short\n`);
    const shown = facts(terminal({ interactive: true }), lines)
      .trimEnd()
      .split('\n');
    for (const line of shown) expect(displayWidth(line), line).toBeLessThanOrEqual(40);
    expect(shown.slice(1, -1).every((line) => line.startsWith('       '))).toBe(true);
    const said = shown.slice(0, -1).map((line) => line.slice(7));
    expect(said.join('').replaceAll(' ', '')).toBe(long.replaceAll(' ', ''));
    expect(said[0]).toBe('the script said nothing of it,');
    // Where a column would be too narrow to read, the terminal breaks lines as it likes.
    expect(facts(terminal({ interactive: true, columns: 20 }), lines).split('\n')).toHaveLength(3);
  });

  it('leaves facts out that are not known', () => {
    expect(
      facts(terminal(), [
        ['a', '1'],
        ['long', null],
        ['bcd', '2'],
      ]),
    ).toBe('a    1\nbcd  2\n');
  });
});

describe('text of others', () => {
  const evil = '\u001b[2J\u001b]0;pwned\u0007x\ny\u202e';
  const harmless = /^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]*$/;

  it('[CLI-14] moves no cursor from facts, titles or cells', () => {
    const shown = [
      facts(terminal(), [[evil, evil]]),
      table(terminal(), [{ title: evil, text: () => evil }], [0]),
      manyLines(`${evil}\n${evil}`),
    ];
    for (const text of shown) expect(text).toMatch(harmless);
    expect(shown[0]!.split('\n')).toHaveLength(2);
    expect(shown[1]!.split('\n')).toHaveLength(3);
    expect(shown[2]!.split('\n')).toHaveLength(4);
  });
});
