import type { Clock, Random, Timers } from '../ports.ts';
import { bytesToHex } from '@noble/hashes/utils.js';
import { parseAddress, reachOf } from './address.ts';
import { cleanName, nameWithNumber, SERVICE } from './announcement.ts';
import type { DnsRecord, Message, Name, Question } from './message.ts';
import { decodeMessage, encodeData, encodeMessage, nameKey, TYPE, typeOf } from './message.ts';
import type { Multicast, NetworkLink, Sender } from './multicast.ts';
import { MDNS_PORT } from './multicast.ts';

export interface AnnouncerOptions {
  multicast: Multicast;
  clock: Clock;
  timers: Timers;
  random: Random;
  /** What people call it; another that has the name already keeps it, and this one gets a number. */
  name: string;
  port: number;
  /** The address that is listened on; `0.0.0.0` is all of IPv4, `::` all. */
  listens: string;
  /** The TXT record, as it is at the moment. */
  txt(): Uint8Array;
  /** It has this name now, and is announced on these interfaces. */
  named(name: string, interfaces: readonly string[]): void;
}

/** Seconds that others may remember: names of hosts two minutes, the rest 75 (RFC 6762 section 10). */
const HOST_TTL = 120;
const TTL = 4_500;
/** For who asks from another port than that of multicast DNS and knows nothing of taking back (section 6.7). */
const LEGACY_TTL = 10;
const PROBES = 3;
const PROBE_MS = 250;
/** Between two announcements, after losing a tie, and between two answers of the same to one link (sections 8.3, 8.2, 6). */
const SECOND_MS = 1_000;
/** Somebody who claims every name that we take is answered this rarely (section 8.1). */
const TROUBLED_MS = 5_000;
const TROUBLED_AFTER = 10;
/** Answers to single machines in a second; who asks for more gets none, so nobody's packets are multiplied by us. */
const UNICASTS_PER_S = 10;

const SERVICE_KEY = nameKey(SERVICE);
const TYPES: Name = ['_services', '_dns-sd', '_udp', 'local'];
const TYPES_KEY = nameKey(TYPES);

type What = 'types' | 'pointer' | 'service' | 'text' | 'address';

/**
 * Announces one service on all links by multicast DNS: asks three times whether its name is free, says twice that it is there, answers
 * whoever asks, and takes everything back at the end. In between it does nothing by itself.
 */
export class Announcer {
  readonly #options: AnnouncerOptions;
  /** Of no other machine, so nobody has to be asked. */
  readonly #host: Name;
  readonly #wanted: string;
  #number = 1;
  #state: 'asking' | 'announced' | 'stopped' = 'asking';
  #cancel: (() => void) | undefined;
  #conflicts = 0;
  /** By link: what is to be said to it, and when something was. */
  readonly #answers = new Map<string, { what: Set<What>; cancel: (() => void) | undefined; last: number }>();
  #unicasts = { at: 0, sent: 0 };

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#wanted = cleanName(options.name);
    this.#host = [`fieldbook-${bytesToHex(options.random.bytes(8))}`, 'local'];
  }

  start(): void {
    const { multicast } = this.#options;
    multicast.onMessage = (bytes, from) => {
      const message = decodeMessage(bytes);
      if (message === null) return;
      if (message.isResponse && from.port === MDNS_PORT) this.#heardAnswer(message);
      if (message.isResponse) return;
      this.#heardQuestion(message, from);
    };
    let served = JSON.stringify(this.#served);
    multicast.onLinks = () => {
      // Of networks that we are not announced on, such as those of containers, nobody has to hear.
      const now = JSON.stringify(this.#served);
      if (now !== served) this.#ask(0);
      served = now;
    };
    this.#ask(0);
  }

  /** Says goodbye and resolves when that has gone out. */
  async stop(): Promise<void> {
    const wasAnnounced = this.#state === 'announced';
    this.#state = 'stopped';
    this.#cancel?.();
    for (const { cancel } of this.#answers.values()) cancel?.();
    this.#answers.clear();
    const { multicast } = this.#options;
    if (wasAnnounced)
      for (const link of this.#served) {
        const answers = this.#records(link, ALL).map((record) => ({ ...record, ttl: 0 }));
        void multicast.sendTo(link, encodeMessage({ isResponse: true, answers }));
      }
    await multicast.close();
  }

  get name(): string {
    return nameWithNumber(this.#wanted, this.#number);
  }

  get #instance(): Name {
    return [this.name, ...SERVICE];
  }

  /** The links on which something of ours listens. On others nothing is said at all. */
  get #served(): NetworkLink[] {
    return this.#options.multicast.links.filter((link) => this.#addresses(link).length > 0);
  }

  /** Asks whether the name is free, after a while. */
  #ask(afterMs: number): void {
    if (this.#state === 'stopped') return;
    this.#state = 'asking';
    // Machines that got their power back together do not all ask together.
    this.#after(afterMs + (this.#options.random.bytes(1)[0]! / 256) * PROBE_MS, () => this.#probe(1));
  }

  #probe(count: number): void {
    const { multicast } = this.#options;
    const authorities = this.#claims();
    const questions: Question[] = [{ name: this.#instance, type: TYPE.ANY, unicast: false }];
    for (const link of this.#served) void multicast.sendTo(link, encodeMessage({ questions, authorities }));
    this.#after(PROBE_MS, () => (count < PROBES ? this.#probe(count + 1) : this.#announce(1)));
  }

  #announce(count: number): void {
    this.#state = 'announced';
    for (const link of this.#served) this.#say(link, ALL);
    if (count === 1) {
      this.#options.named(
        this.name,
        this.#served.map(({ name }) => name),
      );
      this.#after(SECOND_MS, () => this.#announce(2));
    }
  }

  /** What is ours alone, without the addresses that differ by link. */
  #claims(): DnsRecord[] {
    return [
      {
        name: this.#instance,
        ttl: HOST_TTL,
        flush: true,
        data: { kind: 'service', port: this.#options.port, target: this.#host },
      },
      { name: this.#instance, ttl: TTL, flush: true, data: { kind: 'text', bytes: this.#options.txt() } },
    ];
  }

  #records(link: NetworkLink, what: ReadonlySet<What>): DnsRecord[] {
    const addresses = this.#addresses(link);
    if (addresses.length === 0) return [];
    const [service, text] = this.#claims();
    const records: DnsRecord[] = [];
    if (what.has('types'))
      records.push({ name: TYPES, ttl: TTL, flush: false, data: { kind: 'pointer', target: SERVICE } });
    if (what.has('pointer'))
      records.push({ name: SERVICE, ttl: TTL, flush: false, data: { kind: 'pointer', target: this.#instance } });
    if (what.has('service')) records.push(service!);
    if (what.has('text')) records.push(text!);
    if (what.has('address'))
      for (const address of addresses)
        records.push({ name: this.#host, ttl: HOST_TTL, flush: true, data: { kind: 'address', address } });
    return records;
  }

  /** Where we are reached on a link: what is listened on, and nothing that is good for this machine alone. */
  #addresses({ addresses }: NetworkLink): string[] {
    const { listens } = this.#options;
    return addresses.flatMap(({ address }) => {
      const bytes = parseAddress(address);
      const reach = bytes === null ? 'nowhere' : reachOf(bytes);
      // One of IPv6 that is good on one link only cannot be written into a URL.
      if (bytes === null || reach === 'nowhere' || (reach === 'link' && bytes.length === 16)) return [];
      if (listens !== address && listens !== '::' && !(listens === '0.0.0.0' && bytes.length === 4)) return [];
      return [address];
    });
  }

  #heardQuestion(message: Message, from: Sender): void {
    const claim = message.authorities.filter((record) => this.#isOurs(record.name));
    if (claim.length > 0 && this.#state === 'asking') {
      // Two that ask for one name at once: the greater data wins, and the other asks again when that one answers (section 8.2).
      if (compareClaims(this.#claims(), claim) < 0) this.#ask(SECOND_MS);
      return;
    }
    if (this.#state !== 'announced') return;
    const link = this.#options.multicast.links.find(({ name }) => name === from.link);
    if (link === undefined) return;
    const what = new Set<What>();
    for (const question of message.questions) for (const each of this.#asked(question)) what.add(each);
    for (const { name, ttl, data } of message.answers) {
      const isKnown = data.kind === 'pointer' && ttl >= TTL / 2 && nameKey(name) === SERVICE_KEY;
      if (isKnown && this.#isOurs(data.target)) what.delete('pointer');
    }
    if (what.size === 0) return;
    if (from.port !== MDNS_PORT) this.#answerAlone(link, from, what, message);
    else if (message.questions.every(({ unicast }) => unicast)) this.#answerAlone(link, from, what, null);
    else this.#answerSoon(link, what, claim.length > 0);
  }

  #asked({ name, type }: Question): What[] {
    const is = (...types: readonly number[]): boolean => type === TYPE.ANY || types.includes(type);
    const key = nameKey(name);
    if (key === SERVICE_KEY) return is(TYPE.PTR) ? ['pointer'] : [];
    if (key === TYPES_KEY) return is(TYPE.PTR) ? ['types'] : [];
    if (this.#isOurs(name))
      return [...(is(TYPE.SRV) ? ['service' as const] : []), ...(is(TYPE.TXT) ? ['text' as const] : [])];
    return key === nameKey(this.#host) && is(TYPE.A, TYPE.AAAA) ? ['address'] : [];
  }

  /** An answer to one machine; with its question and id where it knows nothing of multicast DNS. */
  #answerAlone(link: NetworkLink, to: Sender, what: ReadonlySet<What>, legacy: Message | null): void {
    const second = Math.floor(this.#options.clock.now() / 1_000);
    if (second !== this.#unicasts.at) this.#unicasts = { at: second, sent: 0 };
    if (this.#unicasts.sent++ >= UNICASTS_PER_S) return;
    const answers = this.#records(link, what);
    if (answers.length === 0) return;
    const additionals = this.#records(link, rest(what));
    const forLegacy = (record: DnsRecord): DnsRecord =>
      legacy === null ? record : { ...record, flush: false, ttl: Math.min(record.ttl, LEGACY_TTL) };
    void this.#options.multicast.answer(
      to,
      encodeMessage({
        isResponse: true,
        id: legacy?.id ?? 0,
        questions:
          legacy === null ? [] : legacy.questions.filter((question) => this.#asked(question).length > 0).slice(0, 4),
        answers: answers.map(forLegacy),
        additionals: additionals.map(forLegacy),
      }),
    );
  }

  /** An answer to a link, together with what others ask meanwhile; nothing is said twice within a second, but to defend the name. */
  #answerSoon(link: NetworkLink, what: ReadonlySet<What>, defend: boolean): void {
    const { clock, timers, random } = this.#options;
    const waiting = this.#answers.get(link.name) ?? { what: new Set<What>(), cancel: undefined, last: 0 };
    this.#answers.set(link.name, waiting);
    for (const each of what) waiting.what.add(each);
    const since = clock.now() - waiting.last;
    const gap = defend ? PROBE_MS : SECOND_MS;
    // A clock that was put back must not keep us silent.
    const pause = since < 0 ? gap : Math.max(0, gap - since);
    if (waiting.cancel !== undefined && !defend) return;
    waiting.cancel?.();
    const spread = defend ? 0 : 20 + (random.bytes(1)[0]! / 256) * 100;
    waiting.cancel = timers.after(Math.max(spread, pause), () => {
      waiting.cancel = undefined;
      const said = new Set(waiting.what);
      waiting.what.clear();
      const now = this.#options.multicast.links.find(({ name }) => name === link.name);
      if (now !== undefined && this.#state === 'announced') this.#say(now, said);
    });
  }

  #say(link: NetworkLink, what: ReadonlySet<What>): void {
    const answers = this.#records(link, what);
    if (answers.length === 0) return;
    const waiting = this.#answers.get(link.name) ?? { what: new Set<What>(), cancel: undefined, last: 0 };
    waiting.last = this.#options.clock.now();
    this.#answers.set(link.name, waiting);
    const additionals = this.#records(link, rest(what));
    void this.#options.multicast.sendTo(link, encodeMessage({ isResponse: true, answers, additionals }));
  }

  #heardAnswer(message: Message): void {
    const ours = encodeData(this.#claims()[0]!.data);
    const conflicts = [...message.answers, ...message.additionals].some(
      ({ name, ttl, data }) =>
        data.kind === 'service' && ttl > 0 && this.#isOurs(name) && compareBytes(encodeData(data), ours) !== 0,
    );
    if (!conflicts || this.#state === 'stopped') return;
    this.#conflicts += 1;
    // Who has said that the name is its own asks again, and finds out who keeps it (section 9); who asked takes another.
    if (this.#state === 'asking') this.#number += 1;
    this.#ask(this.#conflicts > TROUBLED_AFTER ? TROUBLED_MS : 0);
  }

  #isOurs(name: Name): boolean {
    return name.length === 1 + SERVICE.length && nameKey(name) === nameKey(this.#instance);
  }

  #after(ms: number, run: () => void): void {
    this.#cancel?.();
    this.#cancel = this.#options.timers.after(ms, run);
  }
}

const ALL: ReadonlySet<What> = new Set(['pointer', 'service', 'text', 'address']);

/** What an asker will want to know next. */
function rest(what: ReadonlySet<What>): ReadonlySet<What> {
  if (what.has('pointer')) return new Set([...ALL].filter((each) => !what.has(each)));
  return new Set(what.has('service') && !what.has('address') ? ['address'] : []);
}

/** Less than 0 when `ours` loses against `theirs` (RFC 6762 section 8.2). */
function compareClaims(ours: readonly DnsRecord[], theirs: readonly DnsRecord[]): number {
  const [a, b] = [sorted(ours), sorted(theirs)];
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const [one, other] = [a[index], b[index]];
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    const order = one.type - other.type || compareBytes(one.bytes, other.bytes);
    if (order !== 0) return order;
  }
  return 0;
}

function sorted(records: readonly DnsRecord[]): { type: number; bytes: Uint8Array }[] {
  return records
    .map(({ data }) => ({ type: typeOf(data), bytes: encodeData(data) }))
    .toSorted((one, other) => one.type - other.type || compareBytes(one.bytes, other.bytes));
}

function compareBytes(one: Uint8Array, other: Uint8Array): number {
  for (let at = 0; at < Math.min(one.length, other.length); at++) {
    if (one[at] !== other[at]) return one[at]! - other[at]!;
  }
  return one.length - other.length;
}
