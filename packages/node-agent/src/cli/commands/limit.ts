import type { Command } from 'commander';
import { BANDWIDTH_MIN, FieldbookError } from '@fieldbook/core';
import type { Cli } from '../command.ts';
import { printJson, withClient, withJson } from '../command.ts';
import { formatBytes } from '../format.ts';
import type { PeerShape } from '../shapes.ts';

/** `limit`: how much may go over the line to a relay. */
export function limitCommand(program: Command, cli: Cli): void {
  const limit = program
    .command('limit')
    .description('set how fast this machine exchanges with a relay, in each direction')
    .argument('<url>', 'which relay')
    .argument('<rate>', 'bytes per second, as 500kB/s or 2MB/s, or "off"');
  withJson(limit).action(async (url: string, rate: string, options: { json?: boolean }) => {
    const bytesPerS = readRate(rate);
    await withClient(cli, async (client) => {
      const peer = await client.call<PeerShape>('POST', '/sync/limit', { body: { url, bytesPerS } });
      if (options.json === true) printJson(cli.terminal, peer);
      else if (bytesPerS === null) cli.terminal.out(`${peer.url}: as fast as it goes.\n`);
      else cli.terminal.out(`${peer.url}: ${formatBytes(bytesPerS)}/s in each direction; edits go first.\n`);
    });
  });
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

/** Bytes per second of a text; null for "off". Throws `invalid_argument`. */
export function readRate(text: string): number | null {
  if (text === 'off') return null;
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*(|[kMG]|[KMG]i)B?(?:\/s)?$/.exec(text.trim()) ?? [];
  const bytes = Math.round(Number(number) * (UNITS[unit] ?? Number.NaN));
  if (number === '' || !Number.isSafeInteger(bytes))
    throw new FieldbookError('invalid_argument', `"${text.slice(0, 40)}" is no rate: write 500kB/s, 2MB/s or off.`);
  if (bytes < BANDWIDTH_MIN)
    throw new FieldbookError('invalid_argument', `The least that can be set is ${BANDWIDTH_MIN / 1_000} kB/s.`);
  return bytes;
}
