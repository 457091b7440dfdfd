import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import type { Command } from 'commander';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { Agent } from '../../agent/agent.ts';
import { readPresence } from '../../agent/presence.ts';
import { makeHome } from '../../machine/home.ts';
import { jsonLog, parseLogLevel } from '../../machine/ports.ts';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, withJson } from '../command.ts';
import { paint } from '../terminal.ts';

interface Options {
  foreground?: boolean;
  detach?: boolean;
  port?: string;
  host: string;
  allowRemote?: boolean;
  allowHost?: string[];
  announce?: boolean;
  web?: string;
  json?: boolean;
}

/** How long a background agent may take until it answers; a store to be checked takes its time. */
const START_MS = 30_000;
/** How long a store that somebody else has open is waited for. */
const LOCKED_FOR_MS = 8_000;

export function upCommand(program: Command, cli: Cli): void {
  const command = program
    .command('up')
    .description('start the agent: takes journals in, serves the UI, exchanges with relays')
    .option('-f, --foreground', 'stay in the foreground (the default)')
    .option('-d, --detach', 'go to the background once it runs')
    .option('--port <port>', 'listen here and nowhere else (default: 4270, or the next free one)')
    .option('--host <host>', 'listen on this address', '127.0.0.1')
    .option('--allow-remote', 'let --host be an address that other machines reach')
    .option('--allow-host <name...>', 'answer to these names too')
    .option(
      '--announce',
      'let "fieldbook discover" on the same network find it; also FIELDBOOK_ANNOUNCE and config.json',
    )
    .option('--web <directory>', 'serve the web UI from here');
  withJson(command).action(async (options: Options) => {
    const running = await cli.connectToAgent();
    if (running !== undefined) return sayRunning(cli, options, running);
    if (options.detach === true) await startDetached(cli, options);
    else await startHere(cli, options);
  });
}

/** `down`: asks the home's agent to stop and waits until it has. */
export function downCommand(program: Command, cli: Cli): void {
  withJson(program.command('down').alias('stop').description('stop the agent')).action(
    async (options: { json?: boolean }) => {
      const agent = await cli.connectToAgent();
      await agent?.close();
      const presence = agent === undefined ? undefined : await readPresence(cli.home);
      if (presence !== undefined) {
        process.kill(presence.pid, 'SIGTERM');
        const gone = await until(
          async () =>
            (await readPresence(cli.home))?.pid !== presence.pid || (await cli.connectToAgent()) === undefined,
          START_MS,
        );
        if (!gone) throw new FieldbookError('timeout', `The agent (pid ${presence.pid}) does not stop.`);
      }
      if (options.json === true) printJson(cli.terminal, { stopped: presence !== undefined });
      else cli.terminal.out(presence === undefined ? 'No agent was running.\n' : 'The agent has stopped.\n');
    },
  );
}

function say(
  cli: Cli,
  options: Options,
  agent: { url: string; pid: number; already: boolean; insteadOf?: Agent['insteadOf'] },
): void {
  const { terminal } = cli;
  if (options.json === true) {
    printJson(terminal, {
      url: agent.url,
      pid: agent.pid,
      ...(agent.already ? { code: 'agent_already_running' } : {}),
    });
    return;
  }
  const { insteadOf } = agent;
  if (insteadOf != null) {
    terminal.err(
      `Port ${insteadOf.port} is taken${insteadOf.holder === null ? '' : ` by ${insteadOf.holder}`}; this agent took the next free one.\n`,
    );
  }
  terminal.out(`Fieldbook is ${agent.already ? 'already ' : ''}running at ${paint(terminal, 'cyan', agent.url)}\n`);
}

async function startHere(cli: Cli, options: Options): Promise<void> {
  const { checkAnnounced, checkBind, startAgent } = await import('../../agent/agent.ts');
  checkBind(options.host, options.allowRemote === true);
  if (options.announce === true) checkAnnounced(options.host);
  const log = jsonLog((line) => cli.terminal.err(line), parseLogLevel(cli.env['FIELDBOOK_LOG']));
  const stopped = new Promise<string>((resolve) => {
    // A second signal while stopping ends it at once: the default action is back.
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, resolve);
  });
  const port = portOf(options.port);
  const agent = await startUnlessRunning(cli, options, () =>
    startAgent({
      home: cli.home,
      env: cli.env,
      log,
      host: options.host,
      port,
      hosts: options.allowHost ?? [],
      ...(options.announce === true && { announce: true }),
      ...(options.web === undefined ? {} : { web: options.web }),
    }),
  );
  if (agent === null) return;
  say(cli, options, { url: agent.url, pid: process.pid, already: false, insteadOf: agent.insteadOf });
  if (options.allowRemote === true && options.json !== true) cli.terminal.err(HOW_TO_SHARE);
  if (cli.terminal.interactive && options.json !== true)
    cli.terminal.err(`Data is in ${cli.home.root}. Stop with Ctrl+C.\n`);
  await stopped;
  await agent.close();
}

async function sayRunning(cli: Cli, options: Options, running: Client): Promise<void> {
  await running.close();
  const presence = await readPresence(cli.home);
  say(cli, options, { url: running.url!, pid: presence?.pid ?? 0, already: true });
}

/**
 * Starts an agent; null when another one of this home was faster. A command that has the store open is waited for: it
 * is done in a moment.
 */
async function startUnlessRunning(cli: Cli, options: Options, start: () => Promise<Agent>): Promise<Agent | null> {
  for (const deadline = cli.now() + LOCKED_FOR_MS; ;) {
    try {
      return await start();
    } catch (error) {
      if (!isFieldbookError(error, 'store_locked') || cli.now() > deadline) throw error;
    }
    const running = await cli.connectToAgent();
    if (running !== undefined) {
      await sayRunning(cli, options, running);
      return null;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function startDetached(cli: Cli, options: Options): Promise<void> {
  await makeHome(cli.home);
  const log = await open(cli.home.log, 'a', 0o600);
  const args = ['up', '--foreground', '--host', options.host];
  if (options.port !== undefined) args.push('--port', String(portOf(options.port)));
  if (options.allowRemote === true) args.push('--allow-remote');
  for (const name of options.allowHost ?? []) args.push('--allow-host', name);
  if (options.announce === true) args.push('--announce');
  if (options.web !== undefined) args.push('--web', options.web);
  const child = spawn(process.execPath, [process.argv[1]!, ...args], {
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: { FIELDBOOK_LOG: 'info', ...cli.env },
  });
  let exited: number | null | undefined;
  child.once('exit', (code) => (exited = code));
  let client: Awaited<ReturnType<Cli['connectToAgent']>>;
  await until(async () => exited !== undefined || (client = await cli.connectToAgent()) !== undefined, START_MS);
  await log.close();
  child.unref();
  if (client === undefined) {
    throw new FieldbookError(
      'agent_not_running',
      `The agent did not start${exited === undefined ? ` in ${START_MS / 1_000} s` : ''}; ${cli.home.log} says why.`,
    );
  }
  await client.close();
  say(cli, options, { url: client.url!, pid: child.pid ?? 0, already: false });
  if (options.allowRemote === true && options.json !== true) cli.terminal.err(HOW_TO_SHARE);
}

const HOW_TO_SHARE = 'Other machines reach it with a token: "fieldbook share" makes a link for one.\n';

async function until(done: () => Promise<boolean>, ms: number): Promise<boolean> {
  for (const deadline = Date.now() + ms; Date.now() < deadline;) {
    if (await done()) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new FieldbookError('invalid_argument', `${text} is not a port.`);
  return port;
}
