import { describe, expect, it } from 'vitest';
import { displayWidth, fitWidth, oneLine, padWidth } from './width.ts';

describe('width on a terminal', () => {
  it('[CLI-6] counts wide characters twice and marks not at all, and never cuts through one', () => {
    expect(['abc', 'größe', '漢字', '🙂', 'e\u0301', '👩‍👩‍👧', 'ｆｕｌｌ', ''].map(displayWidth)).toEqual([
      3, 5, 4, 2, 1, 2, 8, 0,
    ]);
    expect(fitWidth('漢字漢字', 5)).toBe('漢字…');
    expect(displayWidth(fitWidth('漢字漢字', 4))).toBeLessThanOrEqual(4);
    expect(fitWidth('abc', 3)).toBe('abc');
    expect(fitWidth('abcd', 1)).toBe('…');
    expect(padWidth('漢', 4, true)).toBe('  漢');
  });

  it('[CLI-7] lets no text of others move the cursor, change colours or the direction', () => {
    expect(oneLine('a\u001b[31mred\nb\r\u0007\u202ec')).toBe('a [31mred b c');
  });
});
