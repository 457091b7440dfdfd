import { FakeClock, FakeTimers, linkPair, SeededRandom } from './index.ts';
import { clockContract, linkContract, randomContract, timersContract } from './contracts/index.ts';
import { describe, expect, it } from 'vitest';

linkContract('in memory', () => {
  const { a, b, deliverAll } = linkPair();
  return Promise.resolve({ a, b, settle: () => Promise.resolve(void deliverAll()), teardown: () => Promise.resolve() });
});
clockContract('turned by hand', new FakeClock());
randomContract('seeded', new SeededRandom(3));
const byHand = new FakeTimers(new FakeClock());
timersContract('fired by hand', byHand, (ms) => Promise.resolve(byHand.advance(ms)));

describe('fake timers', () => {
  it('[POR-4] fires in order of due time, timers set meanwhile included, and not what was cancelled', () => {
    const clock = new FakeClock(0);
    const timers = new FakeTimers(clock);
    const fired: string[] = [];
    timers.after(20, () => fired.push(`b at ${clock.now()}`));
    timers.after(10, () => {
      fired.push(`a at ${clock.now()}`);
      timers.after(5, () => fired.push(`c at ${clock.now()}`));
    });
    const cancel = timers.after(12, () => fired.push('never'));
    cancel();
    timers.after(31, () => fired.push('later'));
    timers.advance(30);
    expect(fired).toEqual(['a at 10', 'c at 15', 'b at 20']);
    expect([clock.now(), timers.waiting]).toEqual([30, 1]);
  });
});
