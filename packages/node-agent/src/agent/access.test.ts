import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '@fieldbook/core';
import { accessOf, presentedToken } from './access.ts';

const rules = { port: 4270, hosts: ['box.lan'], remote: false, token: 'secret' };

function decide(
  headers: Record<string, string>,
  override: {
    method?: string;
    path?: string;
    remoteAddress?: string;
    upgrade?: boolean;
    peer?: boolean;
    remote?: boolean;
  } = {},
): string {
  try {
    const request = {
      method: 'GET',
      path: '/api/v1/runs/x',
      remoteAddress: '127.0.0.1',
      upgrade: false,
      peer: false,
      ...override,
    };
    return accessOf(
      { ...rules, remote: override.remote === true },
      {
        ...request,
        headers: { host: '127.0.0.1:4270', ...headers },
        token: presentedToken(headers),
      },
    ).role;
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

  it('[TOP-2] a token of another machine is good for the exchange and nothing else', () => {
    const show = (method: string, path: string, more: { upgrade?: boolean; peer?: boolean } = {}): string =>
      decide({ authorization: 'Bearer fbp_x' }, { method, path: `/api/v1${path}`, peer: true, ...more });
    const digest = 'a'.repeat(64);
    expect(show('GET', '/replicate', { upgrade: true })).toBe('member');
    expect(show('GET', '/workspace')).toBe('member');
    expect(show('PUT', `/blobs/${digest}`)).toBe('member');
    expect(show('POST', '/blobs/missing')).toBe('member');
    for (const [method, path] of [
      ['GET', '/projects'],
      ['GET', '/documents/workspace'],
      ['POST', '/join'],
      ['POST', '/runs/x/edits'],
      ['GET', '/bundles'],
      ['GET', '/workspace/x'],
      ['GET', `/blobs/${digest}/x`],
    ] as const)
      expect([path, show(method, path)]).toEqual([path, 'forbidden']);
    expect(decide({ authorization: 'Bearer fbp_x' }, { path: '/rooms/workspace', upgrade: true, peer: true })).toBe(
      'forbidden',
    );
    expect(show('GET', '/workspace', { peer: false })).toBe('unauthorized');
  });

  it('[TOP-2] an agent that other machines may reach answers to addresses, and to no other name', () => {
    const at = (host: string, remote: boolean): string => decide({ host, authorization: 'Bearer secret' }, { remote });
    expect(at('192.168.1.7:4270', true)).toBe('owner');
    expect(at('[fe80::1]:4270', true)).toBe('owner');
    expect(at('evil.example:4270', true)).toBe('bad_host');
    expect(at('192.168.1.7.evil.example:4270', true)).toBe('bad_host');
    expect(at('192.168.1.7:4270', false)).toBe('bad_host');
  });
});
