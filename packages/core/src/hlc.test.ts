import { describe, expect, it } from 'vitest';
import { hlcCounter, hlcMs, HybridClock, makeHlc } from './hlc.ts';
import { LIMITS } from './limits.ts';
import { FakeClock, SeededRandom } from './testing/index.ts';

describe('hybrid logical clock', () => {
  it('[HLC-1] strictly increases while the wall clock stands, jumps back, and the counter overflows', () => {
    const wall = new FakeClock();
    const random = new SeededRandom(11);
    const clock = new HybridClock(wall);
    let last = clock.tick();
    for (let round = 0; round < 200_000; round++) {
      if (random.chance(0.001)) wall.advance(random.int(10_000) - 5_000);
      const next = clock.tick();
      if (next <= last) expect(next > last, `round ${round}: ${next} after ${last}`).toBe(true);
      last = next;
    }
    // A restart from the kept reading goes on behind it, even under a clock that was set back.
    wall.advance(-1_000_000);
    expect(new HybridClock(wall, last).tick() > last).toBe(true);
  });

  it('[HLC-2] comes after every remote reading it observed', () => {
    const ahead = new FakeClock();
    ahead.advance(60_000);
    const remote = new HybridClock(ahead).tick();
    const clock = new HybridClock(new FakeClock());
    expect(clock.tick() < remote).toBe(true);
    expect(clock.observe(remote)).toBe(true);
    expect(clock.tick() > remote).toBe(true);
    expect(clock.skewMs).toBe(60_000);
    // Also within one millisecond, where only the counter tells them apart.
    const busy = makeHlc(hlcMs(clock.last), 0x1234);
    expect(clock.observe(busy)).toBe(true);
    expect(clock.tick() > busy).toBe(true);
    expect(clock.observe(remote), 'an older reading is no way back').toBe(true);
    expect(clock.tick() > busy).toBe(true);
  });

  it('[HLC-3] does not follow a clock that is more than a day ahead, and says how far it was', () => {
    const wall = new FakeClock();
    const clock = new HybridClock(wall);
    const before = clock.tick();
    expect(clock.observe(makeHlc(wall.now() + LIMITS.clockAheadMs + 1, 0))).toBe(false);
    expect(hlcMs(clock.tick())).toBe(hlcMs(before));
    expect(clock.skewMs).toBe(LIMITS.clockAheadMs + 1);
    expect(clock.observe(makeHlc(wall.now() + LIMITS.clockAheadMs, 7))).toBe(true);
  });

  it('[HLC-4] compares as text in the order of time and counter', () => {
    const random = new SeededRandom(4);
    for (let round = 0; round < 2000; round++) {
      const [a, b] = [0, 1].map(() => ({
        ms: random.int(3) * 2 ** 40 + random.int(300),
        counter: random.int(0x10000),
      })) as [{ ms: number; counter: number }, { ms: number; counter: number }];
      const expected = Math.sign(a.ms - b.ms || a.counter - b.counter);
      const [x, y] = [makeHlc(a.ms, a.counter), makeHlc(b.ms, b.counter)];
      expect(x < y ? -1 : x > y ? 1 : 0).toBe(expected);
      expect([hlcMs(x), hlcCounter(x)]).toEqual([a.ms, a.counter]);
    }
  });
});
