import { describe, expect, it } from 'vitest';
import { isRange } from '../config/kinds.ts';
import { Proxies } from './proxies.ts';

function from(remoteAddress: string, headers: Record<string, string> = {}, encrypted = false) {
  return { socket: { remoteAddress, encrypted }, headers: { host: 'Relay:4280', ...headers } };
}

describe('callers behind proxies', () => {
  const proxies = new Proxies(['10.0.0.0/8', 'fd00::/8', '127.0.0.1']);

  it('[ACC-42] takes nothing from the headers of whoever is no trusted proxy', () => {
    const lies = { 'x-forwarded-for': '1.1.1.1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'bank.example' };
    expect(proxies.caller(from('203.0.113.9', lies))).toEqual({
      address: '203.0.113.9',
      secure: false,
      host: 'relay:4280',
    });
    expect(new Proxies([]).caller(from('127.0.0.1', lies)).address).toBe('127.0.0.1');
    expect(new Proxies([]).caller(from('203.0.113.9', {}, true)).secure).toBe(true);
  });

  it('[ACC-42] believes a trusted proxy, through others that are trusted, and nothing that stands before', () => {
    const address = (remote: string, forwarded: string): string =>
      proxies.caller(from(remote, { 'x-forwarded-for': forwarded })).address;
    expect(address('10.1.2.3', '198.51.100.7')).toBe('198.51.100.7');
    expect(address('::ffff:10.1.2.3', '198.51.100.7:4711')).toBe('198.51.100.7');
    expect(address('fd00::1', '6.6.6.6, 198.51.100.7, 10.9.9.9')).toBe('198.51.100.7');
    expect(address('10.1.2.3', '6.6.6.6, [2001:db8::5]:80')).toBe('2001:db8::5');
    expect(address('10.1.2.3', '6.6.6.6, unknown, 10.9.9.9')).toBe('10.9.9.9');
    expect(address('10.1.2.3', '')).toBe('10.1.2.3');
    const told = proxies.caller(
      from('127.0.0.1', { 'x-forwarded-proto': 'http, HTTPS', 'x-forwarded-host': 'Books.example' }),
    );
    expect(told).toEqual({ address: '127.0.0.1', secure: true, host: 'books.example' });
    expect(proxies.caller(from('127.0.0.1', { 'x-forwarded-proto': 'https, http' })).secure).toBe(false);
  });

  it('[ACC-42] refuses what is no range of addresses', () => {
    for (const range of ['proxy', '10.0.0.0/33', '10.0.0.0/8/8', '10.0.0.0/', '::1/129', ''])
      expect(isRange(range), range).toBe(false);
    for (const range of ['10.0.0.0/8', 'fd00::/8', '127.0.0.1', '::1']) expect(isRange(range), range).toBe(true);
  });
});
