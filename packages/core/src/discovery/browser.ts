import { FieldbookError } from '../errors.ts';
import type { Timers } from '../ports.ts';
import { usableAddresses } from './address.ts';
import type { Announcement } from './announcement.ts';
import { decodeAnnouncement, SERVICE } from './announcement.ts';
import type { DnsRecord, Name, Question } from './message.ts';
import { decodeMessage, encodeData, encodeMessage, nameKey, TYPE } from './message.ts';
import type { Multicast } from './multicast.ts';
import { MDNS_PORT } from './multicast.ts';

/** A program that announces itself. */
export interface Discovered extends Announcement {
  readonly port: number;
  /** Where it may be reached, the best first; none that another machine could not use, nor a public one of a network that is not ours. */
  readonly addresses: readonly string[];
  /** What to join; null when there is no address to be used. */
  readonly url: string | null;
  /** Several machines claim the name, and what is listed of it may be of any of them. */
  readonly contested: boolean;
}

/** What is remembered of a network that somebody fills with names. */
export const DISCOVERED_MAX = 64;
const ADDRESSES = 8;
/** Whatever is asked again in one message; there is another in a second. */
const AGAIN = 12;
/** Whoever answered a moment ago may do so again only after a second. */
const ASK_EVERY_MS = 1_000;

/**
 * Asks everybody on the local network for agents and relays and listens for `ms`. Sends questions and nothing else. Throws
 * `peer_unreachable` when nothing could be sent on any interface.
 */
export async function discover(
  multicast: Multicast,
  timers: Timers,
  ms: number,
): Promise<{ found: Discovered[]; more: boolean }> {
  const heard = new Heard();
  multicast.onMessage = (bytes, from) => {
    // Whoever may not have the port of multicast DNS does not speak for it.
    const message = from.port === MDNS_PORT ? decodeMessage(bytes) : null;
    if (message?.isResponse === true) heard.take([...message.answers, ...message.additionals]);
  };
  const ask = async (): Promise<boolean> => {
    const message = encodeMessage({ questions: heard.questions(), answers: heard.known() });
    const sent = await Promise.all(multicast.links.map((link) => multicast.sendTo(link, message)));
    return sent.includes(true);
  };
  if (!(await ask())) {
    throw new FieldbookError(
      'peer_unreachable',
      multicast.links.length === 0
        ? 'This machine has no network interface that leads to others, so nobody can be found. Join by address instead: fieldbook join http://HOST:PORT.'
        : `Nothing could be sent to ${multicast.links.map(({ name }) => name).join(', ')}: multicast does not go through there, or a firewall forbids it. Join by address instead: fieldbook join http://HOST:PORT.`,
      { details: { interfaces: multicast.links.map(({ name }) => name) } },
    );
  }
  await new Promise<void>((resolve) => {
    let cancelAsk: () => void = () => undefined;
    const askAgain = (): void => {
      cancelAsk = timers.after(ASK_EVERY_MS, () => {
        void ask();
        askAgain();
      });
    };
    askAgain();
    timers.after(ms, () => {
      cancelAsk();
      resolve();
    });
  });
  multicast.onMessage = null;
  const own = multicast.links.flatMap(({ addresses }) => addresses);
  return { found: heard.found(own), more: heard.more };
}

interface Instance {
  name: Name;
  pointer: DnsRecord;
  services: Map<string, { port: number; target: Name }>;
  text: Uint8Array | undefined;
}

/** What was heard, within bounds. */
class Heard {
  more = false;
  readonly #instances = new Map<string, Instance>();
  readonly #hosts = new Map<string, Set<string>>();

  take(records: readonly DnsRecord[]): void {
    for (const record of records) this.#takeService(record);
    const targets = new Set<string>();
    for (const { services } of this.#instances.values())
      for (const { target } of services.values()) targets.add(nameKey(target));
    for (const { name, ttl, data } of records) {
      const key = nameKey(name);
      if (data.kind !== 'address' || ttl === 0 || !targets.has(key)) continue;
      const addresses = this.#hosts.get(key) ?? new Set();
      this.#hosts.set(key, addresses);
      if (addresses.size < ADDRESSES) addresses.add(data.address);
    }
  }

  #takeService(record: DnsRecord): void {
    const { name, ttl, data } = record;
    const about = data.kind === 'pointer' ? data.target : name;
    if (data.kind === 'address' || !isInstance(about)) return;
    if (data.kind === 'pointer' && nameKey(name) !== SERVICE_KEY) return;
    if (ttl === 0) {
      if (data.kind === 'pointer') this.#instances.delete(nameKey(about));
      return;
    }
    const instance = this.#instance(about);
    if (data.kind === 'pointer') instance.pointer = record;
    if (data.kind === 'text') instance.text = data.bytes;
    // More than two say no more than two.
    if (data.kind === 'service' && data.port > 0 && instance.services.size < 2)
      instance.services.set(String(encodeData(data)), data);
  }

  /** Who is there, and what is not known yet of who was heard. */
  questions(): Question[] {
    const unicast = false;
    const questions: Question[] = [{ name: SERVICE, type: TYPE.PTR, unicast }];
    for (const { name, services, text } of this.#instances.values()) {
      if (questions.length > AGAIN) break;
      const [service] = services.values();
      if (service === undefined) questions.push({ name, type: TYPE.SRV, unicast });
      if (text === undefined) questions.push({ name, type: TYPE.TXT, unicast });
      if (service !== undefined && !this.#hosts.has(nameKey(service.target)))
        questions.push({ name: service.target, type: TYPE.A, unicast });
    }
    return questions;
  }

  /** Whom nobody has to tell of again. */
  known(): DnsRecord[] {
    const isKnown = ({ services, text }: Instance): boolean => services.size > 0 && text !== undefined;
    return [...this.#instances.values()]
      .filter(isKnown)
      .slice(0, AGAIN)
      .map(({ pointer }) => pointer);
  }

  found(own: Parameters<typeof usableAddresses>[1]): Discovered[] {
    const found: Discovered[] = [];
    for (const { name, services, text } of this.#instances.values()) {
      const [service] = services.values();
      const announcement = text === undefined ? null : decodeAnnouncement(name[0]!, text);
      if (service === undefined || announcement === null) continue;
      const { port, target } = service;
      const addresses = usableAddresses(this.#hosts.get(nameKey(target)) ?? [], own);
      const [address] = addresses;
      const host = announcement.host ?? (address?.includes(':') === true ? `[${address}]` : address);
      found.push({
        ...announcement,
        port,
        addresses,
        // A name that leads elsewhere is worth nothing without an address here.
        url:
          host === undefined || address === undefined
            ? null
            : `${announcement.tls ? 'https' : 'http'}://${host}:${port}`,
        contested: services.size > 1,
      });
    }
    return found.toSorted((one, other) => (order(one) < order(other) ? -1 : 1));
  }

  #instance(name: Name): Instance {
    const key = nameKey(name);
    const known = this.#instances.get(key);
    if (known !== undefined) return known;
    const pointer: DnsRecord = { name: SERVICE, ttl: 1, flush: false, data: { kind: 'pointer', target: name } };
    const instance = { name, pointer, services: new Map(), text: undefined };
    if (this.#instances.size < DISCOVERED_MAX) this.#instances.set(key, instance);
    else this.more = true;
    return instance;
  }
}

const SERVICE_KEY = nameKey(SERVICE);

function isInstance([label, ...service]: Name): boolean {
  return label !== undefined && nameKey(service) === SERVICE_KEY;
}

/** Relays first, then by name. */
function order({ kind, name, port }: Discovered): string {
  return `${kind === 'relay' ? 0 : 1} ${name} ${port}`;
}
