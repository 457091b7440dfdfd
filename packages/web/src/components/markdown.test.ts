import { describe, expect, it } from 'vitest';
import { parseInline, parseMarkdown } from './markdown.ts';

describe('notes in Markdown', () => {
  it('reads blocks', () => {
    expect(
      parseMarkdown('# Why\n\nThe *first*\nline\n- a\n- b\n1. c\n> said\n```py\nx = 1\n# no heading\n```\nend').map(
        (block) => block.kind,
      ),
    ).toEqual(['heading', 'paragraph', 'list', 'list', 'quote', 'code', 'paragraph']);
    expect(parseMarkdown('```\nnever closed')).toEqual([{ kind: 'code', text: 'never closed' }]);
    expect(parseMarkdown('')).toEqual([]);
  });

  it('reads lines, and leaves what is no mark alone', () => {
    expect(parseInline('a `b*c*` **d** 2 * 3 * 4 snake_case_name')).toEqual([
      { kind: 'text', text: 'a ' },
      { kind: 'code', text: 'b*c*' },
      { kind: 'text', text: ' ' },
      { kind: 'strong', text: 'd' },
      { kind: 'text', text: ' 2 * 3 * 4 snake_case_name' },
    ]);
    expect(parseInline('see https://example.org/a.')).toEqual([
      { kind: 'text', text: 'see ' },
      { kind: 'link', text: 'https://example.org/a', href: 'https://example.org/a' },
      { kind: 'text', text: '.' },
    ]);
  });

  it('[WEB-4] makes no link that could run something', () => {
    for (const href of ['javascript:alert(1)', 'JAVASCRIPT:x', 'data:text/html,x', '//elsewhere', 'vbscript:x']) {
      expect(parseInline(`[x](${href})`).every((part) => part.kind !== 'link')).toBe(true);
    }
    expect(parseInline('[x](/r/abc)')).toEqual([{ kind: 'link', text: 'x', href: '/r/abc' }]);
    expect(parseInline('<img src=x onerror=alert(1)>')).toEqual([
      { kind: 'text', text: '<img src=x onerror=alert(1)>' },
    ]);
  });
});
