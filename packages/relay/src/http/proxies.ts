import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** Who asks, and by what name and way, as far as it can be believed. */
export interface Caller {
  /** The address that limits and the log name. */
  address: string;
  /** True when the way from the caller is encrypted; false also where nobody can tell. */
  secure: boolean;
  /** The host that was asked for, in lower case. */
  host: string;
}

/** What of a request says who asks. */
export interface Asked {
  headers: IncomingHttpHeaders;
  socket: { remoteAddress?: string | undefined; encrypted?: boolean | undefined };
}

/** Longer chains are nobody's; the rest is not read. */
const HOPS = 16;

/** The proxies whose word about others counts. Without any, what a connection itself shows is all that counts. */
export class Proxies {
  readonly #trusted = new BlockList();

  /** `ranges`: addresses or CIDR ranges (`10.0.0.0/8`, `fd00::/8`, `127.0.0.1`), as the setting takes them. */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const [address = '', length] = range.split('/');
      const isSix = isIP(address) === 6;
      this.#trusted.addSubnet(address, Number(length ?? (isSix ? 128 : 32)), isSix ? 'ipv6' : 'ipv4');
    }
  }

  /** Whether a connection from there is a proxy's. */
  trusts(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#trusted.check(address, family === 6 ? 'ipv6' : 'ipv4');
  }

  /**
   * Each proxy appends to `X-Forwarded-For` whom it heard: the last address that is not a trusted proxy's own is the
   * caller, and whatever stands before it is the caller's own invention.
   */
  caller({ headers, socket }: Asked): Caller {
    const direct = plainAddress(socket.remoteAddress ?? '');
    const own = { address: direct, secure: socket.encrypted === true, host: (headers.host ?? '').toLowerCase() };
    if (!this.trusts(direct)) return own;
    let address = direct;
    for (const hop of listed(headers['x-forwarded-for']).toReversed().slice(0, HOPS)) {
      const heard = plainAddress(hop);
      if (isIP(heard) === 0) break;
      address = heard;
      if (!this.trusts(heard)) break;
    }
    const proto = listed(headers['x-forwarded-proto']).at(-1)?.toLowerCase();
    const host = listed(headers['x-forwarded-host']).at(-1)?.toLowerCase();
    return {
      address,
      secure: proto === undefined ? own.secure : proto === 'https' || proto === 'wss',
      host: host === undefined || host === '' ? own.host : host,
    };
  }
}

function listed(header: string | string[] | undefined): string[] {
  if (header === undefined) return [];
  return String(header)
    .split(',')
    .map((part) => part.trim());
}

/** Without a port, and IPv4 as IPv4: a socket that listens on both families says `::ffff:192.0.2.1`. */
export function plainAddress(text: string): string {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text;
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? bare;
}
