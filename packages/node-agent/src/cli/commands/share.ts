import type { Command } from 'commander';
import { FieldbookError, secretOfFragment } from '@fieldbook/core';
import type { ErrorCode } from '@fieldbook/core';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, withClient, withJson } from '../command.ts';
import { formatBytes, plural } from '../format.ts';
import type { PeerShape, SyncShape } from '../shapes.ts';
import type { Terminal } from '../terminal.ts';
import { Progress } from '../terminal.ts';
import { oneLine } from '../width.ts';
import { limitCommand, readRate } from './limit.ts';
import { linkCommands } from './link.ts';
import { describePeer, nameOfPeer } from './status.ts';

export function shareCommands(program: Command, cli: Cli): void {
  joinCommand(program, cli);
  linkCommands(program, cli);
  limitCommand(program, cli);
  const leave = program
    .command('leave')
    .description('stop exchanging with a relay; nothing is deleted on either side')
    .argument('[url]', 'which relay, when several are joined');
  withJson(leave).action(async (url: string | undefined, options: { json?: boolean }) => {
    await withClient(cli, async (client) => {
      const { left } = await client.call<{ left: boolean }>('POST', '/leave', { body: { url: url ?? null } });
      if (!left)
        throw new FieldbookError('not_found', url === undefined ? 'No relay is joined.' : `${url} is not joined.`);
      if (options.json === true) printJson(cli.terminal, { left });
      else cli.terminal.out('Left. What was exchanged stays on both sides.\n');
    });
  });
  const sync = program
    .command('sync')
    .description('wait until everything here is safe at every relay, and everything there is here')
    .option('--timeout <seconds>', 'give up after so long', '600');
  withJson(sync).action(async (options: { json?: boolean; timeout: string }) => {
    await withClient(cli, (client) => waitUntilSettled(cli, client, options), { telling: true });
  });
}

function joinCommand(program: Command, cli: Cli): void {
  const join = program
    .command('join')
    .description('share everything on this machine with a relay, or with another machine')
    .argument('<url>', 'its address, http://… or ws://…; a link with #invite=… or #token=… will do')
    .option('-t, --token <token>', 'the token; "-" reads it from stdin; else FIELDBOOK_TOKEN, else the link’s own')
    .option('--limit <rate>', 'the most in each direction, as 500kB/s; "fieldbook limit" changes it');
  withJson(join).action(async (link: string, options: { token?: string; limit?: string; json?: boolean }) => {
    const { url, token } = readLink(link);
    const given = options.token === '-' ? await typedToken(cli.terminal) : options.token;
    const bytesPerS = options.limit === undefined ? undefined : readRate(options.limit);
    const body = {
      url,
      token: given ?? cli.env['FIELDBOOK_TOKEN'] ?? token,
      ...(bytesPerS !== undefined && { bytesPerS }),
    };
    await withClient(
      cli,
      async (client) => {
        const progress = new Progress(cli.terminal, `Joining ${url} …`);
        try {
          const peer = await client.call<PeerShape>('POST', '/join', { body });
          progress.end();
          if (options.json === true) printJson(cli.terminal, peer);
          else
            cli.terminal.out(
              peer.problem?.code === 'forbidden'
                ? `Joined ${oneLine(peer.name ?? peer.url)} to read. ${oneLine(peer.problem.message)}\n`
                : `Joined ${oneLine(peer.name ?? peer.url)}. Runs on this machine are now shared; "fieldbook sync" waits until all are there.\n`,
            );
        } finally {
          progress.end();
        }
      },
      { telling: true },
    );
  });
}

/** A token from a pipe, or typed unseen. */
async function typedToken(terminal: Terminal): Promise<string> {
  const text = terminal.stdinIsTerminal
    ? await terminal.askHidden('Token or invitation: ')
    : await terminal.readStdin();
  return text.trim();
}

/** A relay's address and the token or invitation in its fragment, which browsers never send and logs never see. */
export function readLink(link: string): { url: string; token: string | null } {
  let parsed: URL;
  try {
    parsed = new URL(link.includes('://') ? link.replace(/^ws(s?):/i, 'http$1:') : `https://${link}`);
  } catch {
    throw new FieldbookError(
      'invalid_argument',
      `${link.split('#')[0]} is not an address. It looks like https://relay.example.org.`,
    );
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw new FieldbookError(
      'invalid_argument',
      `A relay's address starts with https:// (or http://), not ${parsed.protocol}//.`,
    );
  }
  const token = secretOfFragment(parsed.hash);
  return { url: `${parsed.origin}${parsed.pathname.replace(/\/+$/, '')}`, token };
}

const POLL_MS = 200;
/** A relay that takes nothing from us may still have much for us: it is given up when nothing has come for so long. */
const STILL_MS = 1_500;

async function waitUntilSettled(cli: Cli, client: Client, options: { json?: boolean; timeout: string }): Promise<void> {
  const seconds = Number(options.timeout);
  if (!(seconds > 0)) throw new FieldbookError('invalid_argument', '--timeout must be a number of seconds above 0.');
  const progress = new Progress(cli.terminal, 'Taking journals in …');
  try {
    await client.call('POST', '/drain', { body: {} });
    const deadline = cli.now() + seconds * 1_000;
    let moved = { at: cli.now(), seq: -1 };
    for (;;) {
      const sync = await client.call<SyncShape>('GET', '/sync');
      if (sync.lastSeq !== moved.seq) moved = { at: cli.now(), seq: sync.lastSeq };
      if (sync.settled || sync.peers.length === 0) {
        progress.end();
        if (options.json === true) printJson(cli.terminal, sync);
        else if (sync.peers.length === 0)
          cli.terminal.out('Everything is taken in and on disk. No relay is joined, so it is only here.\n');
        else cli.terminal.out(`Everything is exchanged with ${sync.peers.map(nameOfPeer).join(', ')}.\n`);
        return;
      }
      refuseHopeless(sync, cli.now() - moved.at > STILL_MS);
      if (cli.now() > deadline) {
        const state = sync.peers.map((peer) => describePeer(peer, cli.now())).join('; ');
        throw new FieldbookError(
          'timeout',
          `Not everything is exchanged after ${seconds} s: ${state.replace(/\.$/, '')}.`,
          { details: { ...sync } },
        );
      }
      progress.update(`Exchanging: ${sync.peers.map(toGo).join('; ')}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    progress.end();
  }
}

/** A relay that has refused us will refuse us again: waiting would be a lie. */
function refuseHopeless(sync: SyncShape, still: boolean): void {
  const hopeless: readonly string[] = [
    'unauthorized',
    'forbidden',
    'workspace_mismatch',
    'protocol_version',
    'protocol_violation',
  ];
  for (const { connected, problem, url } of sync.peers) {
    if (problem === null || !hopeless.includes(problem.code)) continue;
    if (connected && !(still && problem.code === 'forbidden')) continue;
    throw new FieldbookError(problem.code as ErrorCode, `${url}: ${problem.message}`);
  }
}

function toGo({ url, connected, problem, pendingDocuments, pendingBlobs, pendingBytes }: PeerShape): string {
  if (!connected)
    return `${url} is not reachable${problem === null ? '' : ` (${problem.message.replace(/\.$/, '')})`}, trying again`;
  return `${plural(pendingDocuments, 'document')} and ${plural(pendingBlobs, 'blob')} (${formatBytes(pendingBytes)}) to go`;
}
