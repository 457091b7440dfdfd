import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../testing/index.ts';
import { diffTexts } from './diff.ts';
import type { Hunk } from './diff.ts';

function apply(before: string, hunks: readonly Hunk[]): string {
  let text = '';
  let at = 0;
  for (const hunk of hunks) {
    text += before.slice(at, hunk.at) + hunk.inserted;
    at = hunk.at + hunk.removed;
  }
  return text + before.slice(at);
}

describe('the difference of two texts', () => {
  it('[NOTE-4] turns one text into the other by whole words, and says the same each time', () => {
    expect(diffTexts('a b c', 'a b c')).toEqual([]);
    expect(diffTexts('the quick fox', 'the slow fox')).toEqual([{ at: 4, removed: 5, inserted: 'slow' }]);
    expect(diffTexts('', 'new')).toEqual([{ at: 0, removed: 0, inserted: 'new' }]);
    expect(diffTexts('gone', '')).toEqual([{ at: 0, removed: 4, inserted: '' }]);
    expect(diffTexts('one two three four', 'zero one three five four')).toEqual([
      { at: 0, removed: 0, inserted: 'zero ' },
      { at: 4, removed: 4, inserted: '' },
      { at: 13, removed: 0, inserted: ' five' },
    ]);
    expect(diffTexts('lr', 'lr2')).toEqual([{ at: 2, removed: 0, inserted: '2' }]);
    expect(diffTexts('a🙂', 'a🙃')).toEqual([{ at: 1, removed: 2, inserted: '🙃' }]);
    expect(diffTexts('🙂🙂', '🙂🙃')).toEqual([{ at: 2, removed: 2, inserted: '🙃' }]);
  });

  it('[NOTE-4] holds for random texts (seed 71), and for texts that have nothing in common', () => {
    const random = new SeededRandom(71);
    const words = ['a', 'b', ' ', '\n', '🙂', 'lr', '-', '漢'];
    const text = (): string => Array.from({ length: random.int(60) }, () => random.pick(words)).join('');
    for (let round = 0; round < 2_000; round++) {
      const before = text();
      const after = text();
      const hunks = diffTexts(before, after);
      expect(apply(before, hunks)).toBe(after);
      for (const [index, hunk] of hunks.entries())
        expect(hunk.at).toBeGreaterThanOrEqual(index === 0 ? 0 : hunks[index - 1]!.at + hunks[index - 1]!.removed);
    }
    const before = Array.from({ length: 8_000 }, (_, index) => `a${index}`).join(' ');
    const after = Array.from({ length: 8_000 }, (_, index) => `b${index}`).join('\n');
    expect(apply(before, diffTexts(before, after))).toBe(after);
  });
});
