import { describe, expect, it } from 'vitest';
import { markdownToHtml } from './parse.ts';

describe('Markdown', () => {
  it('[WEB-4] lets a few bare tags be tags, and any other HTML be text', () => {
    const html = markdownToHtml(
      'a<br>b <kbd>x</kbd> <b onclick=x>c</b> <img src=x> <!-- no --> <script>y</script>\n\n<details><summary>s</summary><iframe></details>',
    );
    expect(html.match(/<[^>]+>/g)).toEqual([
      '<p>',
      '<br>',
      '<kbd>',
      '</kbd>',
      '</b>',
      '</p>',
      '<details>',
      '<summary>',
      '</summary>',
      '</details>',
    ]);
    expect(html).toContain('&lt;script>y&lt;/script>');
    expect(html).not.toContain('no');
  });

  it('[WEB-4] is read in time that follows its length, whatever it is', () => {
    const length = 64 * 1024;
    const of = (piece: string): string => piece.repeat(Math.ceil(length / piece.length));
    const steps = (count: number, piece: string): string =>
      Array.from({ length: count }, (_, index) => `${piece.repeat(index)}- a`)
        .join('\n')
        .slice(0, length);
    const pieces = [
      '>',
      '> ',
      '[',
      '*',
      '_a',
      '`a',
      '<',
      '<b>',
      '- ',
      '~~a',
      '* ',
      '[a]: b\n',
      'a\n',
      '![](',
      '&',
      '\\',
      '|a',
    ];
    const texts = [...pieces.map(of), steps(300, '  '), steps(300, '>'), of(`${'_a'.repeat(700)}\n\n`)];
    for (const text of texts) {
      const began = performance.now();
      markdownToHtml(text);
      // Unbounded, some of these take ten seconds and some exhaust the stack.
      expect(performance.now() - began, text.slice(0, 20)).toBeLessThan(5_000);
    }
  });
});
