import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { FieldbookError } from '@fieldbook/core';
import { Buckets, makeRoom } from './buckets.ts';
import type { LimitName, RelayLimits } from './limits.ts';

interface Failures {
  count: number;
  /** No unknown token is looked at before. */
  until: number;
  last: number;
  /** Hashes of the latest wrong secrets. */
  seen: readonly string[];
}

const SWEEP_MS = 30_000;
/** An address without a failure for so long begins anew. */
const FORGET_MS = 15 * 60_000;
/** Wrong secrets that are recognised when they come again. */
const SEEN = 8;
const LONGEST_PAUSE_MS = 5 * 60_000;
/** Nobody is kept waiting longer for what was sent too fast: a connection that is silent for 45 s counts as gone. */
const LONGEST_WAIT_MS = 10_000;

/**
 * How much each address, token and connection asks of this relay, and what is too much. All in memory, of bounded size, and
 * gone with whoever has been quiet for a while.
 */
export class Limiter {
  readonly limits: RelayLimits;
  readonly #now: () => number;
  readonly #buckets: Record<'addresses' | 'tokens' | 'upgrades' | 'bytes', Buckets>;
  readonly #open = { address: new Map<string, number>(), token: new Map<string, number>() };
  readonly #failures = new Map<string, Failures>();
  readonly #counts = new Map<LimitName, number>();
  #sweeping: NodeJS.Timeout | undefined;

  /** `now` in ms, never going back. */
  constructor(limits: RelayLimits, now: () => number = () => performance.now()) {
    this.limits = limits;
    this.#now = now;
    this.#buckets = {
      addresses: new Buckets(limits['requests-per-address']),
      tokens: new Buckets(limits['requests-per-token']),
      upgrades: new Buckets(limits['upgrades-per-address']),
      bytes: new Buckets(limits['bytes-per-token']),
    };
  }

  /** How often each limit was reached since this relay began: refusals, and for bytes pauses. */
  get counts(): ReadonlyMap<LimitName, number> {
    return this.#counts;
  }

  /** How many addresses and tokens are remembered now. */
  get size(): number {
    const buckets = Object.values(this.#buckets).reduce((sum, { size }) => sum + size, 0);
    return buckets + this.#failures.size + this.#open.address.size + this.#open.token.size;
  }

  /** Throws `rate_limited`, as do all that follow: `details.retryAfter` in seconds. */
  request(address: string): void {
    this.#take(
      'addresses',
      networkOf(address),
      'requests-per-address',
      'There are too many requests from your address',
    );
  }

  tokenRequest(token: string): void {
    this.#take('tokens', token, 'requests-per-token', 'There are too many requests with this token');
  }

  upgrade(address: string): void {
    this.#take(
      'upgrades',
      networkOf(address),
      'upgrades-per-address',
      'There are too many new connections from your address',
    );
  }

  /** To be asked before an unknown token is looked for. */
  mayFail(address: string): void {
    const wait = (this.#failures.get(networkOf(address))?.until ?? 0) - this.#now();
    if (wait > 0) this.refuse('failures-per-address', 'There were too many wrong tokens from your address', wait);
  }

  /**
   * A token or invitation from there was wrong: beyond the limit each doubles the pause that follows. The same one again is no
   * guess, but a page or machine that was thrown out and does not know it, behind an address that it shares with others.
   */
  failed(address: string, secret: string): void {
    if (this.limits['failures-per-address'] === Number.POSITIVE_INFINITY) return;
    const key = networkOf(address);
    const now = this.#now();
    const known = this.#failures.get(key);
    const hash = createHash('sha256').update(secret).digest('base64url').slice(0, 16);
    if (known?.seen.includes(hash) === true) return;
    const count = known === undefined || now - known.last > FORGET_MS ? 1 : known.count + 1;
    const beyond = count - this.limits['failures-per-address'];
    const pause = beyond < 0 ? 0 : Math.min(LONGEST_PAUSE_MS, 1_000 * 2 ** Math.min(beyond, 20));
    this.#failures.delete(key);
    makeRoom(this.#failures);
    const seen = [hash, ...(known?.seen ?? [])].slice(0, SEEN);
    this.#failures.set(key, { count, until: now + pause, last: now, seen });
    this.#sweepLater();
  }

  /** One more connection; call what it returns when it has ended. */
  connect(kind: 'address' | 'token', whose: string): () => void {
    const key = kind === 'address' ? networkOf(whose) : whose;
    const open = this.#open[kind];
    const name = `connections-per-${kind}` as const;
    const count = open.get(key) ?? 0;
    if (count >= this.limits[name]) {
      const words = kind === 'address' ? 'from your address' : 'with this token';
      this.refuse(name, `There are ${count} open connections ${words} already`, 5_000);
    }
    open.set(key, count + 1);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      const left = open.get(key)! - 1;
      if (left === 0) open.delete(key);
      else open.set(key, left);
    };
  }

  /** Bytes of one connection, with a bucket of its own. `received` says for how many ms no more should be read. */
  connection(token: string): { received(bytes: number): number } {
    const own = new Buckets(this.limits['bytes-per-connection']);
    return {
      received: (bytes) => {
        const now = this.#now();
        const alone = own.spend('', bytes, now);
        const together = this.received(token, bytes);
        if (alone > 0) this.count('bytes-per-connection');
        return Math.min(LONGEST_WAIT_MS, Math.max(alone, together));
      },
    };
  }

  /** Bytes of an upload: for how many ms no more should be read. */
  received(token: string, bytes: number): number {
    const wait = this.#buckets.bytes.spend(token, bytes, this.#now());
    if (wait > 0) this.count('bytes-per-token');
    this.#sweepLater();
    return Math.min(LONGEST_WAIT_MS, wait);
  }

  count(name: LimitName): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** Counts, and throws. */
  refuse(name: LimitName, what: string, waitMs: number): never {
    this.count(name);
    const retryAfter = Math.max(1, Math.ceil(waitMs / 1_000));
    throw new FieldbookError('rate_limited', `${what}; try again in ${retryAfter} s.`, {
      details: { retryAfter, limit: name },
    });
  }

  close(): void {
    clearInterval(this.#sweeping);
    this.#sweeping = undefined;
  }

  #take(which: 'addresses' | 'tokens' | 'upgrades', key: string, name: LimitName, what: string): void {
    const wait = this.#buckets[which].take(key, this.#now());
    this.#sweepLater();
    if (wait > 0) this.refuse(name, what, wait);
  }

  /** Nothing wakes an idle relay: the sweep runs while there is something to forget. */
  #sweepLater(): void {
    this.#sweeping ??= setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  /** Forgets whoever has been quiet for so long that nothing would be different. */
  sweep(): void {
    const now = this.#now();
    for (const buckets of Object.values(this.#buckets)) buckets.sweep(now);
    for (const [key, { last, until }] of this.#failures)
      if (now > until && now - last > FORGET_MS) this.#failures.delete(key);
    if (this.size === this.#open.address.size + this.#open.token.size) this.close();
  }
}

/** What one party has: an IPv4 address, or an IPv6 network of 64 bits, whose addresses are all one customer's. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('%')[0]!.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  const groups = [...left, ...middle, ...right].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}
