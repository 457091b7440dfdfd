import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { assignColours, ownColour } from './colours.ts';

describe('colours of runs', () => {
  it('stay with the run when others come and go, and never meet while there are enough', () => {
    const ids = Array.from({ length: 10 }, (_, index) => `run-${index}`);
    const all = assignColours(ids);
    expect(new Set(all.values()).size).toBe(10);
    expect(assignColours(['run-3']).get('run-3')).toBe(ownColour('run-3'));
    expect(assignColours(ids.slice(0, 4)).get('run-0')).toBe(all.get('run-0'));
  });

  it('[CHT-20] are those of their ids: sorted or chosen in another order they are the same, and none is lost to a run that came by it', () => {
    const ids = Array.from({ length: 40 }, (_, index) => `run-${index}`);
    for (let size = 2; size <= 30; size += 4) {
      const some = ids.slice(0, size);
      const colours = assignColours(some);
      expect(assignColours(some.toReversed())).toEqual(assignColours(some));
      const first = new Map<number, string>();
      for (const id of some.toSorted()) if (!first.has(ownColour(id))) first.set(ownColour(id), id);
      for (const [colour, id] of first) expect([id, colours.get(id)]).toEqual([id, colour]);
    }
  });

  it('repeat evenly beyond ten', () => {
    const counts = new Map<number, number>();
    for (const colour of assignColours(Array.from({ length: 25 }, (_, index) => `r${index}`)).values())
      counts.set(colour, (counts.get(colour) ?? 0) + 1);
    expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(1);
  });

  it('[CHT-15] stand out from the paper by 3:1 in both themes', () => {
    const css = readFileSync(new URL('../styles/tokens.css', import.meta.url), 'utf8');
    const [light, dark] = css.split("[data-theme='dark']") as [string, string];
    for (const theme of [light, dark]) {
      const token = (name: string): string => new RegExp(`--${name}: (#[0-9a-f]{6})`).exec(theme)![1]!;
      for (let run = 0; run < 10; run++)
        expect(contrast(token(`run-${run}`), token('paper')), `run-${run}`).toBeGreaterThanOrEqual(3);
    }
  });
});

/** WCAG 2.2, relative luminance and contrast ratio. */
function contrast(a: string, b: string): number {
  const luminance = (hex: string): number => {
    const [red, green, blue] = [1, 3, 5].map((at) => {
      const share = parseInt(hex.slice(at, at + 2), 16) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}
