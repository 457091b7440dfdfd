import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '@fieldbook/core';
import { configWith } from '../config/index.ts';
import { Limiter, networkOf } from './limiter.ts';
import type { RelayLimits } from './limits.ts';
import { limitsOf } from './limits.ts';

const NONE = Object.fromEntries(
  Object.keys(limitsOf(configWith({}))).map((name) => [name, Number.POSITIVE_INFINITY]),
) as unknown as RelayLimits;

/** A limiter whose clock the test turns. */
function limiter(limits: Partial<RelayLimits>) {
  const time = { now: 1_000_000 };
  return { time, limiter: new Limiter({ ...NONE, ...limits }, () => time.now) };
}

/** The seconds to wait; 0 when it went through. */
function wait(ask: () => void): number {
  try {
    ask();
    return 0;
  } catch (error) {
    if (!isFieldbookError(error, 'rate_limited')) throw error;
    return error.details['retryAfter'] as number;
  }
}

describe('what may be asked of a relay', () => {
  it('[ACC-43] an address that asks too often waits as long as it is told, and no other does', () => {
    const { time, limiter: limits } = limiter({ 'requests-per-address': 2, 'requests-per-token': 1 });
    for (let each = 0; each < 20; each++) expect(wait(() => limits.request('192.0.2.1'))).toBe(0);
    expect(wait(() => limits.request('192.0.2.1'))).toBe(1);
    expect(wait(() => limits.request('192.0.2.2'))).toBe(0);
    time.now += 1_000;
    expect(wait(() => limits.request('192.0.2.1'))).toBe(0);
    expect(wait(() => limits.request('192.0.2.1'))).toBe(0);
    expect(wait(() => limits.request('192.0.2.1'))).toBe(1);
    for (let each = 0; each < 10; each++) expect(wait(() => limits.tokenRequest('a'))).toBe(0);
    expect(wait(() => limits.tokenRequest('a'))).toBe(1);
    expect(wait(() => limits.tokenRequest('b'))).toBe(0);
  });

  it('[ACC-43] addresses of one IPv6 network are one', () => {
    expect(networkOf('2001:db8:0:7::1')).toBe('2001:db8:0:7::/64');
    expect(networkOf('2001:0db8::7:0:0:0:9')).toBe('2001:db8:0:7::/64');
    expect(networkOf('::1')).toBe('0:0:0:0::/64');
    expect(networkOf('192.0.2.1')).toBe('192.0.2.1');
    const { limiter: limits } = limiter({ 'upgrades-per-address': 1 });
    for (let each = 0; each < 10; each++) limits.upgrade(`2001:db8::${each}`);
    expect(wait(() => limits.upgrade('2001:db8::ffff'))).toBe(1);
    expect(wait(() => limits.upgrade('2001:db8:1::1'))).toBe(0);
  });

  it('[ACC-45] wrong tokens make an address wait, twice as long each time, for five minutes at most', () => {
    const { time, limiter: limits } = limiter({ 'failures-per-address': 3 });
    const pauses: number[] = [];
    for (let each = 0; each < 14; each++) {
      limits.failed('192.0.2.1', `wrong ${each}`);
      const pause = wait(() => limits.mayFail('192.0.2.1'));
      pauses.push(pause);
      time.now += pause * 1_000;
      expect(wait(() => limits.mayFail('192.0.2.1'))).toBe(0);
    }
    expect(pauses).toEqual([0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    expect(wait(() => limits.mayFail('192.0.2.2'))).toBe(0);
    time.now += 15 * 60_000 + 1;
    limits.failed('192.0.2.1', 'another');
    expect(wait(() => limits.mayFail('192.0.2.1'))).toBe(0);
  });

  it('[ACC-45] the same wrong token again and again is no guess, and makes nobody wait', () => {
    const { limiter: limits } = limiter({ 'failures-per-address': 3 });
    for (let each = 0; each < 100; each++) limits.failed('192.0.2.1', each % 2 === 0 ? 'revoked' : 'mistyped');
    expect(wait(() => limits.mayFail('192.0.2.1'))).toBe(0);
    limits.failed('192.0.2.1', 'a third');
    expect(wait(() => limits.mayFail('192.0.2.1'))).toBe(1);
  });

  it('[ACC-44] so many connections are open at once, and one that ended makes room, once', () => {
    const { limiter: limits } = limiter({ 'connections-per-token': 2 });
    const leave = limits.connect('token', 'a');
    limits.connect('token', 'a');
    expect(wait(() => limits.connect('token', 'a'))).toBeGreaterThan(0);
    limits.connect('token', 'b');
    leave();
    leave();
    limits.connect('token', 'a');
    expect(wait(() => limits.connect('token', 'a'))).toBeGreaterThan(0);
  });

  it('[ACC-46] bytes that came too fast are made up for, by a connection alone or a token as a whole', () => {
    const { time, limiter: limits } = limiter({ 'bytes-per-connection': 100_000, 'bytes-per-token': 150_000 });
    const [one, two] = [limits.connection('a'), limits.connection('a')];
    expect(one.received(1_000_000)).toBe(0);
    expect(one.received(50_000)).toBe(500);
    expect(two.received(450_000)).toBe(0);
    expect(two.received(150_000)).toBe(1_000);
    expect(limits.connection('b').received(1_000_000)).toBe(0);
    time.now += 1_000;
    expect(two.received(0)).toBe(0);
    // Nobody is kept waiting until the other side gives the connection up.
    expect(two.received(16_000_000)).toBe(10_000);
    expect(Object.fromEntries(limits.counts)).toEqual({ 'bytes-per-connection': 2, 'bytes-per-token': 2 });
  });

  it('[ACC-47] remembers a bounded number of addresses, and none that is quiet', () => {
    const { time, limiter: limits } = limiter({ 'requests-per-address': 1, 'failures-per-address': 5 });
    for (let each = 0; each < 50_000; each++) {
      const address = `10.${each >> 16}.${(each >> 8) & 255}.${each & 255}`;
      limits.request(address);
      limits.failed(address, address);
    }
    expect(limits.size).toBeGreaterThan(30_000);
    expect(limits.size).toBeLessThanOrEqual(40_000);
    time.now += 2_000;
    limits.sweep();
    expect(limits.size).toBeLessThanOrEqual(20_000);
    time.now += 16 * 60_000;
    limits.sweep();
    expect(limits.size).toBe(0);
    limits.close();
  });
});
