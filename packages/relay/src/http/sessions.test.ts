import { describe, expect, it, vi } from 'vitest';
import { Sessions } from './sessions.ts';

const HOUR = 60 * 60_000;

function sessions() {
  const time = { now: 1_000_000 };
  return { time, sessions: new Sessions(() => time.now) };
}

describe('sessions of browsers', () => {
  it('[ACC-51] last twelve hours after their last use, and thirty days at most', () => {
    const { time, sessions: all } = sessions();
    const { secret } = all.open('ada');
    for (let each = 0; each < 65; each++) {
      time.now += 11 * HOUR;
      expect(all.use(secret)).toMatchObject({ token: 'ada', tell: true });
      expect(all.use(secret)).toMatchObject({ tell: false });
    }
    time.now += 6 * HOUR;
    expect(all.use(secret)).toBeUndefined();
    const { secret: idle } = all.open('ada');
    time.now += 12 * HOUR;
    expect(all.use(idle)).toBeUndefined();
    expect(all.size).toBe(0);
  });

  it('[ACC-56] with a lifetime end after it however much they are used, without anybody asking', () => {
    vi.useFakeTimers();
    try {
      const all = new Sessions(Date.now);
      const ended: string[] = [];
      all.onEnded((session) => ended.push(session));
      // Longer than a timer of Node can wait.
      const days = 40;
      const { secret, expires } = all.open('ada', days * 24 * HOUR);
      expect(expires).toBe(Date.now() + days * 24 * HOUR);
      const { key } = all.use(secret)!;
      for (let each = 0; each < days - 1; each++) {
        vi.advanceTimersByTime(24 * HOUR);
        expect(all.use(secret)).toMatchObject({ token: 'ada', tell: false });
      }
      expect(ended).toEqual([]);
      vi.advanceTimersByTime(24 * HOUR);
      expect(ended).toEqual([key]);
      expect([all.use(secret), all.size]).toEqual([undefined, 0]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('[ACC-51] are bounded for each token: the one that was not used for longest goes', () => {
    const { time, sessions: all } = sessions();
    const other = all.open('bob').secret;
    const secrets = Array.from({ length: 100 }, () => {
      time.now += 1;
      return all.open('ada').secret;
    });
    time.now += 1;
    all.use(secrets[0]!);
    const newest = all.open('ada').secret;
    expect(all.use(secrets[1]!)).toBeUndefined();
    for (const secret of [secrets[0]!, secrets[2]!, newest, other]) expect(all.use(secret)).toBeDefined();
  });

  it('[ACC-52] a ticket is taken once, within half a minute', () => {
    const { time, sessions: all } = sessions();
    const first = all.ticket('ada', undefined);
    expect(all.take(first.ticket)).toMatchObject({ token: 'ada' });
    expect(all.take(first.ticket)).toBeUndefined();
    const late = all.ticket('ada', undefined);
    time.now += 30_000;
    expect(all.take(late.ticket)).toBeUndefined();
    for (let each = 0; each < 3_000; each++) all.ticket('ada', undefined);
    expect(all.size).toBe(1_000);
    time.now += 30_000;
    all.ticket('bob', undefined);
    expect(all.size).toBe(1);
  });

  it('[ACC-54] end with their token, and their tickets with them', () => {
    const { sessions: all } = sessions();
    const ended: string[] = [];
    all.onEnded((session) => ended.push(session));
    const [one, two, other] = [all.open('ada').secret, all.open('ada').secret, all.open('bob').secret];
    const session = all.use(one)!.key;
    const tickets = [all.ticket('ada', session), all.ticket('ada', undefined)];
    all.end(session);
    expect(all.take(tickets[0]!.ticket)).toBeUndefined();
    all.endOf('ada');
    expect(ended).toHaveLength(2);
    expect([all.use(one), all.use(two), all.take(tickets[1]!.ticket)]).toEqual([undefined, undefined, undefined]);
    expect(all.use(other)).toBeDefined();
  });
});
