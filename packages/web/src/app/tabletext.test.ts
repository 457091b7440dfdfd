import { describe, expect, it } from 'vitest';
import { copiedText, csvCell, headOf, rowsOf, titleOf } from './tabletext.ts';

const ROW = ['a "b", c', 0.1 + 0.2, { time: 0 }, ['x', 'y|z'], true, null, undefined, 'two\nlines', -0.5, Number.NaN];

describe('a table as text', () => {
  it('[WEB-41] keeps all digits and every character in CSV', () => {
    expect(headOf('csv', ['name', 'val/acc, best'])).toBe('name,"val/acc, best"\r\n');
    expect(rowsOf('csv', [ROW], [])).toBe(
      '"a ""b"", c",0.30000000000000004,1970-01-01T00:00:00.000Z,"x, y|z",true,null,,"two\nlines",-0.5,NaN\r\n',
    );
  });

  it('[WEB-41] says durations in a unit that stands beside them', () => {
    const columns = ['name', 'duration', 'a:epochs'];
    const titles = (format: 'csv' | 'markdown'): string[] => columns.map((column) => titleOf(format, column, column));
    expect(headOf('csv', titles('csv'))).toBe('name,duration (s),a:epochs\r\n');
    expect(rowsOf('csv', [['one', 90_061, 90_061]], columns)).toBe('one,90.061,90061\r\n');
    expect(titles('markdown')).toEqual(columns);
    expect(copiedText(90_061, 'duration')).toBe('1m 30s');
    expect(copiedText(0.1 + 0.2, 'm:loss.last')).toBe('0.30000000000000004');
  });

  it('[WEB-41] lets no text of a run become a formula of a spreadsheet', () => {
    for (const text of ['=1+1', '+cmd', '-cmd|x', '@sum(a1)', '\t=1', '=HYPERLINK("x")'])
      expect(csvCell(text).replace(/^"/, '')).toMatch(/^'/);
    for (const text of ['-0.5', '+1', '-1e-3', '-Infinity', 'a=b']) expect(csvCell(text)).toBe(text);
  });

  it('[WEB-41] is one line a row in Markdown', () => {
    expect(headOf('markdown', ['name', 'a|b'])).toBe('| name | a\\|b |\n|---|---|\n');
    expect(rowsOf('markdown', [['two\nlines', 'a|b', 1500]], ['name', 'x', 'duration'])).toBe(
      '| two lines | a\\|b | 1.5 s |\n',
    );
  });
});
