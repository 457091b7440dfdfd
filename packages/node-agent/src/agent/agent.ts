import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import type { Duplex } from 'node:stream';
import { FieldbookError } from '@fieldbook/core';
import type { Log } from '@fieldbook/core';
import { announceFrom } from '../machine/config.ts';
import type { Home } from '../machine/home.ts';
import { makeHome } from '../machine/home.ts';
import type { Machine } from '../machine/machine.ts';
import { openMachine } from '../machine/machine.ts';
import { openServices } from '../machine/services.ts';
import { VERSION } from '../version.ts';
import type { AccessRules } from './access.ts';
import { isLoopbackHost } from './loopback.ts';
import { PeerTokens } from './peer-tokens.ts';
import { listenSomewhere } from './port.ts';
import { announce, localToken, withdraw } from './presence.ts';
import { createHttpServer } from './server.ts';
import { createSockets } from './sockets.ts';
import { StaticSite, WEB_DIST } from './static.ts';

export interface AgentOptions {
  home: Home;
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
  /** What to bind to; loopback unless somebody insists. */
  host: string;
  /** The port that was asked for; the default one, or one near it, without. */
  port: number | undefined;
  /** Names that requests may use besides the loopback ones. */
  hosts: readonly string[];
  /** Say on the local network that it is there; without it the environment or the configuration decides. */
  announce?: boolean;
  /** Where the web UI lies. */
  web?: string;
}

export interface Agent {
  url: string;
  port: number;
  /** The default port and who has it, when another had to be taken. */
  insteadOf: { port: number; holder: string | null } | null;
  /** Stops taking requests, flushes, closes the store. */
  close(): Promise<void>;
}

/** Open requests get this long to end before their connections are cut. */
const DRAIN_MS = 3_000;
const SWEEP_MS = 20;

/** Starts the agent of a home: store, ingest, replication, HTTP and rooms, in that order. Throws `store_locked`, `port_in_use`. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { home, env, log } = options;
  const announced = options.announce ?? announceFrom(env);
  await makeHome(home);
  const token = await localToken(home);
  const machine = await openMachine(home, env, log);
  const services = await openServices(machine, { watch: true });
  const peers = await PeerTokens.open(home.peers);
  const remote = !isLoopbackHost(options.host);
  const hosts = remote ? [...options.hosts, ...ownNames(options.host)] : options.hosts;
  const rules: AccessRules = { port: 0, hosts, remote, token };
  const sockets = createSockets({ rules, peers, machine, services, log });
  const server = createHttpServer({
    api: services.api,
    site: new StaticSite(options.web ?? WEB_DIST),
    rules,
    peers,
    log,
    upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => sockets.upgrade(request, socket, head),
  });
  let discovery: { stop(): Promise<void> } | undefined;
  const stop = async (): Promise<void> => {
    await discovery?.stop();
    peers.close();
    // Event streams first: nothing else on the server goes on for ever.
    services.api.close();
    // Both at once: a server waits for its upgraded connections, which only the sockets' end closes.
    const drained = closeServer(server, log);
    await sockets.close();
    await drained;
    await services.close();
    await machine.close();
  };
  try {
    const { port, insteadOf } = await listenSomewhere(server, options.host, options.port);
    rules.port = port;
    const url = `http://${urlHost(options.host)}:${port}`;
    peers.watch((error) => log.warn('peers.unreadable', { error: String(error) }));
    const { host } = options;
    await announce(home, { pid: process.pid, port, url, host, version: VERSION, started: Date.now() });
    if (announced ?? machine.config.announce) discovery = await announceOn(server, machine, log);
    log.info('agent.started', { url, pid: process.pid, version: VERSION });
    let closing: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      await withdraw(home, process.pid);
      await stop();
      log.info('agent.stopped', {});
    };
    return { url, port, insteadOf, close: () => (closing ??= close()) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Nothing of it is loaded unless somebody wants it. */
async function announceOn(server: Server, machine: Machine, log: Log): Promise<{ stop(): Promise<void> } | undefined> {
  const { address, port } = server.address() as AddressInfo;
  if (isLoopbackHost(address)) {
    log.warn('discovery.loopback', { address });
    return undefined;
  }
  const { announceAgent } = await import('../machine/discovery.ts');
  const { device, membership } = machine;
  return announceAgent({ name: device.name, address, port, workspace: () => membership.info.id }, log);
}

/** The name to reach a bound address by; a wildcard is reached on loopback. */
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

async function closeServer(server: Server, log: Log): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    const cut = setTimeout(() => {
      log.warn('http.cut', { after: DRAIN_MS });
      server.closeAllConnections();
    }, DRAIN_MS);
    // A connection that answers its last request now is kept alive by both sides, and would be waited for.
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
    server.close(() => {
      clearTimeout(cut);
      clearInterval(sweep);
      resolve();
    });
    server.closeIdleConnections();
  });
}

/** Refuses anything but loopback unless it was asked for in so many words. */
export function checkBind(host: string, insist: boolean): void {
  if (insist || isLoopbackHost(host)) return;
  throw new FieldbookError(
    'invalid_argument',
    `Binding to ${host} lets other machines reach this agent; a relay is made for that. Add --allow-remote to do it all the same: they will need a token, which "fieldbook share" makes.`,
  );
}

/** Refuses to announce what nobody else reaches. */
export function checkAnnounced(host: string): void {
  if (!isLoopbackHost(host)) return;
  throw new FieldbookError(
    'invalid_argument',
    `Other machines do not reach an agent on ${host}, so there is nothing to announce. Add --host 0.0.0.0 --allow-remote too, or leave --announce out.`,
  );
}

/** What other machines on a network call this one. */
function ownNames(host: string): string[] {
  const name = hostname().toLowerCase();
  return [host.toLowerCase(), name, `${name}.local`];
}
