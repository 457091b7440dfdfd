import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '@fieldbook/core';
import { accessOf, presentedToken } from './access.ts';

const rules = { port: 4270, hosts: ['box.lan'], token: 'secret' };

function decide(
  headers: Record<string, string>,
  override: { method?: string; remoteAddress?: string; upgrade?: boolean } = {},
): string {
  try {
    const request = { method: 'GET', remoteAddress: '127.0.0.1', upgrade: false, ...override };
    return accessOf(rules, {
      ...request,
      headers: { host: '127.0.0.1:4270', ...headers },
      token: presentedToken(headers),
    }).role;
  } catch (error) {
    return isFieldbookError(error) ? error.code : String(error);
  }
}

describe('access to an agent', () => {
  it('[API-15] believes a page only on loopback, however it looks', () => {
    const page = { origin: 'http://localhost:4270', 'sec-fetch-site': 'same-origin' };
    expect(decide(page, { method: 'POST' })).toBe('owner');
    expect(decide(page, { method: 'POST', remoteAddress: '::ffff:127.0.0.1' })).toBe('owner');
    expect(decide(page, { method: 'POST', remoteAddress: '192.168.1.7' })).toBe('unauthorized');
    expect(decide({ ...page, authorization: 'Bearer secret' }, { remoteAddress: '192.168.1.7' })).toBe('owner');
  });

  it('[API-15] a socket needs an origin or a token; Sec-Fetch-Site alone is not enough', () => {
    expect(decide({ 'sec-fetch-site': 'same-origin' }, { upgrade: true })).toBe('unauthorized');
    expect(decide({ origin: 'http://127.0.0.1:4270' }, { upgrade: true })).toBe('owner');
    expect(decide({ 'sec-fetch-site': 'none' }, { upgrade: true })).toBe('unauthorized');
  });

  it('[API-14] answers to the names that it was given besides', () => {
    expect(decide({ host: 'box.lan:4270', authorization: 'Bearer secret' })).toBe('owner');
    expect(decide({ host: 'box.lan:4271', authorization: 'Bearer secret' })).toBe('bad_host');
    expect(decide({ host: 'box.lan', authorization: 'Bearer secret' })).toBe('bad_host');
  });

  it('[API-16] reads the token from the header or a subprotocol', () => {
    expect(presentedToken({ authorization: 'bearer  abc' })).toBe('abc');
    expect(presentedToken({ 'sec-websocket-protocol': 'fieldbook.v1, fieldbook.token.a-b_c' })).toBe('a-b_c');
    expect(presentedToken({ authorization: 'Basic abc' })).toBeNull();
    expect(decide({ authorization: 'Bearer secre' })).toBe('unauthorized');
  });
});
