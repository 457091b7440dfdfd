import { FieldbookError } from '../errors.ts';
import type { Clock, Timers } from '../ports.ts';
import type { InterfaceAddress } from './address.ts';
import { isInNetwork, parseAddress } from './address.ts';

/** The port of multicast DNS (RFC 6762). */
export const MDNS_PORT = 5353;
const GROUPS = { udp4: '224.0.0.251', udp6: 'ff02::fb' } as const;
const FAMILIES = ['udp4', 'udp6'] as const;
type Family = (typeof FAMILIES)[number];

/** A network interface that is up and leads to other machines. */
export interface NetworkLink {
  readonly name: string;
  readonly addresses: readonly InterfaceAddress[];
}

/** Who sent a message. */
export interface Sender {
  readonly address: string;
  readonly port: number;
  /** The interface of ours whose network it is in. */
  readonly link: string;
}

/** What of `node:dgram` is used; errors of a socket come to its `error` listener, those of joining a group are thrown. */
export interface DatagramSocket {
  bind(port: number, bound: () => void): unknown;
  on(event: 'message', heard: (message: Uint8Array, from: { address: string; port: number }) => void): unknown;
  on(event: 'error', failed: (error: Error) => void): unknown;
  addMembership(group: string, at: string): void;
  setMulticastInterface(at: string): void;
  setMulticastTTL(hops: number): unknown;
  send(message: Uint8Array, port: number, address: string, sent: (error: Error | null) => void): void;
  close(closed: () => void): unknown;
}

/** What a program brings: `node:dgram`'s and `node:os`'s functions, and its timers. */
export interface MulticastPlatform {
  createSocket(options: { type: Family; reuseAddr: true; ipv6Only?: true }): DatagramSocket;
  networkInterfaces(): Readonly<
    Record<string, readonly { address: string; cidr: string | null; internal: boolean }[] | undefined>
  >;
  clock: Clock;
  timers: Timers;
}

export interface MulticastOptions {
  /** Take any port when that of multicast DNS cannot be had: answers come all the same, to us alone. */
  anyPort?: boolean;
  /** Look every minute for interfaces that have come or gone. Nothing tells of them, and more often would cost more than all else. */
  watch?: boolean;
}

const LOOK_MS = 60_000;
/** Of a flood, so many messages a second are read. A large office sends some tens. */
const MESSAGES_PER_S = 200;

/**
 * One socket for each family of addresses, on all interfaces that lead to other machines, as they come and go. Nothing here throws
 * once it is open: a network that is away is one on which nothing is sent.
 */
export class Multicast {
  /** A message from a machine on one of our networks, as bytes of anybody. */
  onMessage: ((message: Uint8Array, from: Sender) => void) | null = null;
  /** Interfaces have come, gone, or changed their addresses. */
  onLinks: (() => void) | null = null;
  readonly #platform: MulticastPlatform;
  readonly #sockets = new Map<Family, DatagramSocket>();
  #links: readonly NetworkLink[] = [];
  #tail: Promise<unknown> = Promise.resolve();
  #cancel: (() => void) | undefined;
  #second = { at: 0, heard: 0 };
  #closing: Promise<void> | undefined;

  private constructor(platform: MulticastPlatform) {
    this.#platform = platform;
  }

  /** Throws `peer_unreachable` when the port can be had for no family of addresses. */
  static async open(platform: MulticastPlatform, options: MulticastOptions = {}): Promise<Multicast> {
    const multicast = new Multicast(platform);
    const failures: Error[] = [];
    for (const family of FAMILIES) {
      for (const port of options.anyPort === true ? [MDNS_PORT, 0] : [MDNS_PORT]) {
        const failure = await multicast.#bind(family, port);
        if (failure === null) break;
        failures.push(failure);
      }
    }
    if (multicast.#sockets.size === 0)
      throw new FieldbookError(
        'peer_unreachable',
        `Port ${MDNS_PORT}, which discovery needs, cannot be had: ${failures[0]?.message ?? 'no reason was given'}. Another program may keep it for itself.`,
        { cause: failures[0] },
      );
    multicast.look();
    if (options.watch === true) multicast.#watch();
    return multicast;
  }

  /** The interfaces that are up, as of the last look. */
  get links(): readonly NetworkLink[] {
    return this.#links;
  }

  /** Looks for interfaces that have come or gone. */
  look(): void {
    const links = linksOf(this.#platform.networkInterfaces());
    if (JSON.stringify(links) === JSON.stringify(this.#links)) return;
    this.#links = links;
    for (const [family, socket] of this.#sockets) {
      for (const link of links) {
        const at = placeOf(link, family);
        if (at === null) continue;
        try {
          socket.addMembership(GROUPS[family], at);
        } catch {
          // We are in that group there already, or the interface has just gone.
        }
      }
    }
    this.onLinks?.();
  }

  /** Sends to everybody on a link, one message after the other. False when none went out. */
  async sendTo(link: NetworkLink, message: Uint8Array): Promise<boolean> {
    return this.#inTurn(async () => {
      let sent = false;
      for (const [family, socket] of this.#sockets) {
        const at = placeOf(link, family);
        if (at === null) continue;
        try {
          // One after the other, for the socket has one interface at a time.
          socket.setMulticastInterface(at);
        } catch {
          continue; // it has just gone
        }
        if (await sendBy(socket, message, MDNS_PORT, GROUPS[family])) sent = true;
      }
      return sent;
    });
  }

  /** Sends to one machine. False when it did not go out. */
  async answer(to: Pick<Sender, 'address' | 'port'>, message: Uint8Array): Promise<boolean> {
    const socket = this.#sockets.get(to.address.includes(':') ? 'udp6' : 'udp4');
    return socket !== undefined && this.#inTurn(() => sendBy(socket, message, to.port, to.address));
  }

  /** Closes when what was sent has gone. */
  async close(): Promise<void> {
    this.#cancel?.();
    this.onMessage = null;
    this.onLinks = null;
    this.#closing ??= this.#tail.then(async () => {
      await Promise.all([...this.#sockets.values()].map(closed));
    });
    await this.#closing;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work);
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  #watch(): void {
    this.#cancel = this.#platform.timers.after(LOOK_MS, () => {
      this.look();
      this.#watch();
    });
  }

  #bind(family: Family, port: number): Promise<Error | null> {
    return new Promise((resolve) => {
      let socket: DatagramSocket;
      try {
        socket = this.#platform.createSocket({
          type: family,
          reuseAddr: true,
          ...(family === 'udp6' && { ipv6Only: true }),
        });
      } catch (error) {
        resolve(error as Error);
        return;
      }
      socket.on('error', (error) => {
        // What a socket says later is about one packet, and UDP loses packets anyway.
        if (this.#sockets.get(family) === socket) return;
        socket.close(() => resolve(error));
      });
      socket.on('message', (message, from) => this.#heard(message, from));
      socket.bind(port, () => {
        this.#sockets.set(family, socket);
        try {
          // Whoever follows the older rules drops what has passed a router, which counts down from here.
          socket.setMulticastTTL(255);
        } catch {
          // Only asked for by RFC 6762, and looked at by few.
        }
        resolve(null);
      });
    });
  }

  #heard(message: Uint8Array, { address, port }: { address: string; port: number }): void {
    const second = Math.floor(this.#platform.clock.now() / 1_000);
    if (second !== this.#second.at) this.#second = { at: second, heard: 0 };
    if (this.#second.heard++ >= MESSAGES_PER_S || this.onMessage === null) return;
    const link = linkOf(this.#links, address);
    // From another network nobody reaches the group; whoever writes to us directly from there is not who we want to hear.
    if (link !== undefined) this.onMessage(message, { address, port, link });
  }
}

async function closed(socket: DatagramSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.close(() => resolve());
  });
}

async function sendBy(socket: DatagramSocket, message: Uint8Array, port: number, address: string): Promise<boolean> {
  return new Promise((resolve) => {
    try {
      socket.send(message, port, address, (error) => resolve(error === null || error === undefined));
    } catch {
      resolve(false); // closed, or an address that is none
    }
  });
}

function linksOf(interfaces: ReturnType<MulticastPlatform['networkInterfaces']>): NetworkLink[] {
  return Object.entries(interfaces).flatMap(([name, all = []]) => {
    const addresses = all
      .filter(({ internal, cidr }) => !internal && cidr !== null)
      .map(({ address, cidr }) => ({ address: address.replace(/%.*$/, ''), prefix: Number(cidr!.split('/')[1]) }));
    return addresses.length === 0 ? [] : [{ name, addresses }];
  });
}

/** How an interface is named to a socket: by an address of its own in IPv4, by its name in IPv6. */
function placeOf({ name, addresses }: NetworkLink, family: Family): string | null {
  const first = addresses.find(({ address }) => address.includes(':') === (family === 'udp6'));
  if (first === undefined) return null;
  return family === 'udp4' ? first.address : `::%${name}`;
}

/** The interface in whose network an address is. One that is good on one link only says which. */
function linkOf(links: readonly NetworkLink[], address: string): string | undefined {
  const zone = address.split('%')[1];
  if (zone !== undefined) return links.find(({ name }) => name === zone)?.name;
  const bytes = parseAddress(address);
  if (bytes === null) return undefined;
  return links.find(({ addresses }) =>
    addresses.some((own) => {
      const network = parseAddress(own.address);
      return network !== null && isInNetwork(bytes, network, own.prefix);
    }),
  )?.name;
}
