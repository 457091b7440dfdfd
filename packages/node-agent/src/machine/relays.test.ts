import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { holderOf } from '../agent/port.ts';
import { readLink } from '../cli/commands/share.ts';
import { normalUrl } from './relays.ts';

it('[CLI-19] a relay has one spelling, and its address carries no token', () => {
  expect(normalUrl('HTTPS://Relay.Example:443/team/')).toBe('https://relay.example/team');
  for (const url of [
    'ftp://relay',
    'https://me:secret@relay',
    'https://relay/?token=x',
    'https://relay/#token=x',
    'relay',
  ]) {
    expect(() => normalUrl(url)).toThrow(/address/);
  }
});

it('[CLI-19] a link gives its token and loses it', () => {
  expect(readLink('https://relay.example/#token=fbt_abc')).toEqual({ url: 'https://relay.example', token: 'fbt_abc' });
  expect(readLink('relay.example')).toEqual({ url: 'https://relay.example', token: null });
  expect(() => readLink('ftp://relay')).toThrow(/starts with https/);
});

it('[CLI-3] the process that has a port is found where the system tells', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  if (process.platform !== 'linux') return;
  expect(await holderOf(port)).toContain(`(pid ${process.pid})`);
});
