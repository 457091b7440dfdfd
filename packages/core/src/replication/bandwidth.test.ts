import { describe, expect, it } from 'vitest';
import { FakeClock, FakeTimers } from '../testing/index.ts';
import { Bandwidth } from './bandwidth.ts';

function make(limit: number | null): { bandwidth: Bandwidth; clock: FakeClock; timers: FakeTimers } {
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  return { bandwidth: new Bandwidth({ clock, timers, limit }), clock, timers };
}

describe('bandwidth', () => {
  it('[RPL-33] makes what can wait pay for what went at once', () => {
    const { bandwidth, clock } = make(100_000);
    bandwidth.charge(100_000);
    expect(bandwidth.delayMs).toBe(0);
    bandwidth.charge(50_000);
    expect(bandwidth.delayMs).toBe(500);
    clock.advance(400);
    expect(bandwidth.delayMs).toBe(100);
    clock.advance(60_000);
    // A quiet minute saves up for a second, not for a minute.
    bandwidth.charge(150_000);
    expect(bandwidth.delayMs).toBe(500);
  });

  it('[RPL-33] keeps the limit over any mix of pieces, and a clock that jumps neither stops nor opens it', async () => {
    const { bandwidth, clock, timers } = make(200_000);
    const began = clock.now();
    let came = 0;
    let ended = false;
    const reading = (async () => {
      for await (const piece of bandwidth.paced(new Uint8Array(2_000_000))) came += piece.length;
      ended = true;
    })();
    for (let step = 0; !ended; step++) {
      await new Promise((resolve) => setImmediate(resolve));
      // What has come is what a second saved up and the seconds since allow, and one piece.
      expect(came).toBeLessThanOrEqual(200_000 + ((clock.now() - began) / 1_000) * 200_000 + 16 * 1024);
      timers.advance(10);
    }
    await reading;
    expect(came).toBe(2_000_000);
    expect((clock.now() - began) / 1_000).toBeGreaterThan(8.9);
    expect((clock.now() - began) / 1_000).toBeLessThan(10.5);
    bandwidth.charge(400_000);
    clock.advance(-86_400_000);
    expect(bandwidth.delayMs).toBeLessThanOrEqual(2_000);
    clock.advance(86_400_000);
    expect(bandwidth.delayMs).toBeLessThanOrEqual(1_000);
  });

  it('[RPL-33] lets everything go at once when the limit is lifted, and without one', async () => {
    const { bandwidth, timers } = make(20_000);
    bandwidth.charge(1_000_000);
    let ready = false;
    const waiting = bandwidth.ready().then(() => (ready = true));
    timers.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(ready).toBe(false);
    bandwidth.limit = null;
    timers.advance(1_000);
    await waiting;
    bandwidth.charge(1e9);
    expect(bandwidth.delayMs).toBe(0);
  });
});
