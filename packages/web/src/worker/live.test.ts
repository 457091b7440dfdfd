import type { RunId } from '@fieldbook/core';
import { describe, expect, it, vi } from 'vitest';
import { Live, readLive } from './live.ts';

const say = (at: number, loss: unknown) => ({
  live: [{ run: 'a', at, metrics: { 'train/loss': { step: 1, value: loss } } }],
});

describe('live values', () => {
  it('are those said last, while they are newer than the card and not old', () => {
    vi.useFakeTimers();
    const told: (readonly string[])[] = [];
    const live = new Live((runs) => told.push(runs));
    live.take(say(100, 0.5));
    live.take(say(90, 0.9));
    live.take(say(110, 'NaN'));
    vi.runAllTimers();
    expect(told).toEqual([['a']]);
    expect(live.of('a' as RunId, 50, 200)?.metrics.get('train/loss')).toBeNaN();
    expect(live.of('a' as RunId, 110, 200)).toBeUndefined();
    expect(live.of('a' as RunId, 50, 100_000)).toBeUndefined();
    vi.useRealTimers();
  });

  it('are read with care', () => {
    for (const state of [
      null,
      undefined,
      7,
      {},
      { live: 'x' },
      { live: [null, 3, {}, { run: 1 }, { run: 'a', at: 'b', metrics: {} }] },
    ])
      expect(readLive(state)).toEqual([]);
    expect(readLive({ live: [{ run: 'a', at: 1, metrics: { x: null } }] })[0]![1].metrics.get('x')).toBeNaN();
  });
});
