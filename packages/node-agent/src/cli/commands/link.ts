import { hostname, networkInterfaces } from 'node:os';
import type { Command } from 'commander';
import { isLoopbackHost } from '../../agent/loopback.ts';
import { PeerTokens } from '../../agent/peer-tokens.ts';
import { readPresence } from '../../agent/presence.ts';
import { makeHome } from '../../machine/home.ts';
import type { Cli } from '../command.ts';
import { printJson, withJson } from '../command.ts';
import { formatAgo, plural } from '../format.ts';
import { oneLine } from '../width.ts';

/** `share`: lets other machines exchange with this one directly, each by a link with a token of its own. */
export function linkCommands(program: Command, cli: Cli): void {
  const share = program
    .command('share')
    .description('make a link by which another machine joins this one directly')
    .option('--name <name>', 'whom it is for');
  withJson(share).action((options: { name?: string; json?: boolean }) => makeLink(cli, options));
  withJson(share.command('list').description('list who may join this machine')).action(
    async (options: { json?: boolean }, command: Command) => {
      const tokens = (await openTokens(cli)).list();
      if (asJson(options, command)) printJson(cli.terminal, { tokens });
      else if (tokens.length === 0) cli.terminal.out('Nobody; "fieldbook share" makes a link.\n');
      else
        for (const { id, name, created } of tokens)
          cli.terminal.out(`${id}  made ${formatAgo(created, cli.now())}  ${oneLine(name ?? '')}`.trimEnd() + '\n');
    },
  );
  withJson(
    share
      .command('revoke')
      .description('make a link worthless and end its connections')
      .argument('<id>', 'as "share list" shows it'),
  ).action(async (id: string, options: { json?: boolean }, command: Command) => {
    await (await openTokens(cli)).revoke(id);
    if (asJson(options, command)) printJson(cli.terminal, { revoked: id });
    else cli.terminal.out(`Revoked ${id}. What was exchanged stays on both sides.\n`);
  });
}

/** Commander gives `--json` to the command above when both know it. */
function asJson(options: { json?: boolean }, command: Command): boolean {
  return options.json === true || command.parent?.opts()['json'] === true;
}

async function openTokens(cli: Cli): Promise<PeerTokens> {
  await makeHome(cli.home);
  return PeerTokens.open(cli.home.peers);
}

/** The link goes to stdout alone, so that it can be piped; what to do with it goes to stderr. */
async function makeLink(cli: Cli, options: { name?: string; json?: boolean }): Promise<void> {
  const { terminal } = cli;
  const client = await cli.connectToAgent();
  await client?.close();
  const presence = client === undefined ? undefined : await readPresence(cli.home);
  const addresses = presence === undefined ? [] : addressesOf(presence.host ?? '127.0.0.1', presence.port);
  const { token, secret } = await (await openTokens(cli)).create(options.name ?? null);
  const links = addresses.map((address) => `${address}/#token=${secret}`);
  if (options.json === true) {
    printJson(terminal, { ...token, token: secret, links });
    return;
  }
  terminal.out(`${links[0] ?? secret}\n`);
  terminal.err(
    `Made link ${token.id}. It is shown only now; "fieldbook share revoke ${token.id}" takes it back.\n` +
      `On the other machine: fieldbook join '${links[0] === undefined ? `http://${hostname()}:4270/#token=…` : '<the link>'}'\n`,
  );
  if (links.length > 1)
    terminal.err(
      `This machine has ${plural(links.length, 'address').replace('addresss', 'addresses')}; the others: ${addresses.slice(1).join(', ')}\n`,
    );
  if (presence === undefined)
    terminal.err('No agent runs here. Start one that others reach: fieldbook up -d --host 0.0.0.0 --allow-remote\n');
  else if (isLoopbackHost(presence.host ?? '127.0.0.1'))
    terminal.err(
      'This agent listens to this machine only. Let others reach it: fieldbook down, then fieldbook up -d --host 0.0.0.0 --allow-remote\n',
    );
}

/** Where others reach an agent, most likely first. */
export function addressesOf(host: string, port: number): string[] {
  const at = (address: string): string => `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
  if (host !== '0.0.0.0' && host !== '::') return [at(host)];
  const own = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
    .map(({ address }) => at(address));
  return own.length === 0 ? [at('127.0.0.1')] : own;
}
