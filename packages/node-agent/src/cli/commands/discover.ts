import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { networkInterfaces } from 'node:os';
import type { Command } from 'commander';
import { asFieldbookError, FieldbookError } from '@fieldbook/core';
import type { Discovered } from '@fieldbook/core/discovery';
import { readPresence } from '../../agent/presence.ts';
import { readConfig } from '../../machine/config.ts';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, withJson } from '../command.ts';
import { table } from '../table.ts';
import { paint, Progress } from '../terminal.ts';
import { oneLine } from '../width.ts';

interface Options {
  timeout: string;
  json?: boolean;
}

/** What this machine knows of itself, to tell what it finds. */
interface Own {
  /** Null when it is not known. */
  workspace: string | null;
  /** It shares its workspace with nobody yet, so it may join any. */
  isPrivate: boolean;
  /** Addresses of relays and machines that are joined. */
  joined: ReadonlySet<string>;
  /** Where this machine's own agent is reached. */
  urls: ReadonlySet<string>;
}

type WorkspaceState = 'this' | 'another' | 'unknown';

/** One line of `discover --json`. */
interface FoundShape {
  name: string;
  kind: 'agent' | 'relay';
  url: string | null;
  addresses: readonly string[];
  host: string | null;
  port: number;
  tls: boolean;
  versions: readonly number[];
  workspace: WorkspaceState;
  self: boolean;
  joined: boolean;
  contested: boolean;
  /** The command that joins it; null where that would not work. */
  join: string | null;
}

const LONGEST_S = 60;

/** `discover`: lists who announces itself on the local network, and joins nobody. */
export function discoverCommand(program: Command, cli: Cli): void {
  const command = program
    .command('discover')
    .description('list the machines and relays that announce themselves on the local network')
    .option('--timeout <seconds>', 'listen for so long', '2');
  withJson(command).action(async (options: Options) => {
    const seconds = Number(options.timeout);
    if (!(seconds > 0 && seconds <= LONGEST_S))
      throw new FieldbookError(
        'invalid_argument',
        `--timeout must be a number of seconds above 0, at most ${LONGEST_S}.`,
      );
    const { canExchangeWith, discover, isTagOf, Multicast } = await import('@fieldbook/core/discovery');
    const { multicastPlatform } = await import('../../machine/discovery.ts');
    const progress = new Progress(cli.terminal, `Listening for ${options.timeout} s …`);
    let heard: Awaited<ReturnType<typeof discover>>;
    let own: Own;
    const multicast = await Multicast.open(multicastPlatform, { anyPort: true });
    try {
      [heard, own] = await Promise.all([discover(multicast, multicastPlatform.timers, seconds * 1_000), ownFacts(cli)]);
    } finally {
      progress.end();
      await multicast.close();
    }
    const found = heard.found.map((each) =>
      describe(each, own, {
        isOurs: each.workspace !== null && own.workspace !== null && isTagOf(each.workspace, own.workspace),
        speaks: canExchangeWith(each),
      }),
    );
    if (options.json === true) printJson(cli.terminal, { found, more: heard.more });
    else print(cli, found, heard.more, own);
  });
}

async function ownFacts(cli: Cli): Promise<Own> {
  const { relays } = await readConfig(cli.home);
  const presence = await readPresence(cli.home);
  const urls = new Set<string>();
  if (presence !== undefined)
    for (const { address } of Object.values(networkInterfaces()).flatMap((all) => all ?? []))
      urls.add(`http://${address.includes(':') ? `[${address}]` : address}:${presence.port}`);
  const joined = new Set(relays.map(({ url }) => url));
  const none = { workspace: null, isPrivate: true, joined, urls };
  // Looking round must not make a home where there is none.
  if (!existsSync(join(cli.home.store, 'CURRENT'))) return none;
  let client: Client | undefined;
  try {
    client = await cli.connect();
    const { id, private: isPrivate } = await client.call<{ id: string; private: boolean }>('GET', '/workspace');
    return { workspace: id, isPrivate, joined, urls };
  } catch (error) {
    cli.terminal.err(
      `Which of them is of this machine’s workspace cannot be told: ${oneLine(asFieldbookError(error).message)}\n`,
    );
    return { ...none, isPrivate: false };
  } finally {
    await client?.close();
  }
}

function describe(found: Discovered, own: Own, { isOurs, speaks }: { isOurs: boolean; speaks: boolean }): FoundShape {
  const { name, kind, url, addresses, host, port, tls, versions, contested } = found;
  const workspace = isOurs ? 'this' : own.workspace === null || found.workspace === null ? 'unknown' : 'another';
  const urls = [url, ...addresses.map((address) => urlOf(address, found))].filter((each) => each !== null);
  const self = urls.some((each) => own.urls.has(each));
  const joined = urls.some((each) => own.joined.has(each));
  // Whoever shares a workspace cannot join another one.
  const fits = own.isPrivate || workspace !== 'another';
  const canJoin = url !== null && !self && !joined && !contested && speaks && fits;
  return {
    name,
    kind,
    url,
    addresses,
    host,
    port,
    tls,
    versions,
    workspace,
    self,
    joined,
    contested,
    join: canJoin ? joinLine(url) : null,
  };
}

/** The command that joins an address, as any shell takes it: some look for files by what is in brackets. */
export function joinLine(url: string): string {
  return `fieldbook join ${url.includes('[') ? `'${url}'` : url} --token -`;
}

function urlOf(address: string, { tls, port }: Discovered): string {
  return `${tls ? 'https' : 'http'}://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function print(cli: Cli, found: readonly FoundShape[], more: boolean, own: Own): void {
  const { terminal } = cli;
  if (found.length === 0) {
    terminal.out('Nobody announces itself on this network.\n');
    terminal.err(
      'Agents do with "fieldbook up --host 0.0.0.0 --allow-remote --announce", relays with "fieldbook-relay serve --host 0.0.0.0 --announce"; some networks let no multicast through.\n',
    );
    return;
  }
  terminal.out(
    table(
      terminal,
      [
        { title: 'name', text: ({ name }) => name, shrink: true },
        { title: 'kind', text: ({ kind }) => kind },
        { title: 'address', text: ({ url }) => url ?? 'none that can be used' },
        {
          title: 'workspace',
          text: (each) => stateOf(each),
          style: ({ workspace }, text) => (workspace === 'this' ? paint(terminal, 'green', text) : text),
        },
      ],
      found,
    ),
  );
  if (more) terminal.err('There are more; they are not listed.\n');
  const joinable = found.filter(({ join: line }) => line !== null);
  if (joinable.length === 0) {
    if (!own.isPrivate && found.some(({ workspace }) => workspace === 'another'))
      terminal.err(
        'This machine shares a workspace already and cannot join another one; use another FIELDBOOK_HOME for that.\n',
      );
    return;
  }
  terminal.out(`\n${joinable.map(({ join: line }) => line).join('\n')}\n`);
  terminal.err(
    'Who runs it gives you the token or invitation ("fieldbook share", "fieldbook-relay invite"). Anybody on this network can announce anything: check the address with them before you give it a token.\n',
  );
}

function stateOf({ workspace, self, joined, contested }: FoundShape): string {
  if (contested) return 'several machines claim this name';
  const of = { this: 'this one', another: 'another', unknown: 'unknown' }[workspace];
  return self ? `${of}; this machine` : joined ? `${of}; joined` : of;
}
