import { describe, expect, it } from 'vitest';
import { FieldbookError } from '../errors.ts';
import { FakeTimers, FakeClock } from '../testing/index.ts';
import type { Place } from './room.ts';
import { Room } from './room.ts';

const MB = 1_000_000;

function roomOf(perHolder: number, inAll: number) {
  const clock = new FakeTimers(new FakeClock());
  const room = new Room({
    perHolder,
    inAll,
    timers: clock,
    refuse: (limit) => {
      throw new FieldbookError('rate_limited', limit, { details: { retryAfter: 3 } });
    },
  });
  return { clock, room };
}

/** Whether it is in by now, and why not. */
function entering(place: Place, bytes: number) {
  const state = { how: 'waits', place };
  place.grow(bytes).then(
    () => (state.how = 'in'),
    (error: unknown) => (state.how = (error as FieldbookError).message),
  );
  return state;
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
};

describe('a room', () => {
  it('[API-34] holds no more than its limits, per holder and in all, and lets in by turn who waits', async () => {
    const { room } = roomOf(10 * MB, 15 * MB);
    const enter = async (holder: string, bytes: number) => {
      const one = entering(room.place(holder), bytes);
      await settle();
      return one;
    };
    const first = await enter('ada', 6 * MB);
    const second = await enter('ada', 5 * MB);
    // Would fit, and does not pass the larger one.
    const third = await enter('ada', 3 * MB);
    const other = await enter('bob', 9 * MB);
    const full = await enter('eve', 1 * MB);
    expect([first, second, third, other, full].map(({ how }) => how)).toEqual(['in', 'waits', 'waits', 'in', 'waits']);
    expect(room.used).toBe(15 * MB);
    // Questions and edits do not wait.
    expect((await enter('ada', 100_000)).how).toBe('in');
    first.place.leave();
    first.place.leave();
    await settle();
    expect([second, third, full].map(({ how }) => how)).toEqual(['in', 'waits', 'waits']);
    other.place.leave();
    await settle();
    expect([third, full].map(({ how }) => how)).toEqual(['in', 'in']);
    for (const { place } of [second, third, full]) place.leave();
    expect([room.used, room.waiting]).toEqual([100_000, 0]);
  });

  it('[API-34] refuses who has waited for ten seconds, and forgets who leaves', async () => {
    const { room, clock } = roomOf(10 * MB, 15 * MB);
    const first = entering(room.place('ada'), 8 * MB);
    const late = entering(room.place('ada'), 8 * MB);
    const gone = entering(room.place('ada'), 8 * MB);
    const other = entering(room.place('bob'), 8 * MB);
    clock.advance(9_000);
    gone.place.leave();
    await settle();
    expect([first, late, other].map(({ how }) => how)).toEqual(['in', 'waits', 'waits']);
    clock.advance(1_500);
    await settle();
    expect([late, other].map(({ how }) => how)).toEqual(['holder', 'all']);
    expect([room.used, room.waiting]).toEqual([8 * MB, 0]);
    // Who is let in and leaves in the same moment has taken nothing.
    const both = entering(room.place('ada'), 8 * MB);
    first.place.leave();
    both.place.leave();
    await settle();
    expect([room.used, room.waiting]).toEqual([0, 0]);
  });

  it('[API-34] takes what is larger than its limits alone, and refuses at once who cannot wait', async () => {
    const { room } = roomOf(10 * MB, 15 * MB);
    const place = room.place('ada');
    await place.fit(40 * MB);
    expect(room.used).toBe(40 * MB);
    await expect(room.place('bob').fit(1 * MB, false)).rejects.toMatchObject({ code: 'rate_limited', message: 'all' });
    await place.fit(9 * MB);
    await expect(room.place('ada').fit(2 * MB, false)).rejects.toMatchObject({ message: 'holder' });
    await room.place('bob').fit(5 * MB, false);
    expect(room.used).toBe(14 * MB);
  });
});
