import { describe, expect, it } from 'vitest';
import { FakeClock, FakeTimers, SeededRandom } from '../testing/index.ts';
import { encodeAnnouncement, SERVICE } from './announcement.ts';
import { announceService } from './announce.ts';
import { discover, DISCOVERED_MAX } from './browser.ts';
import type { DnsRecord, Message } from './message.ts';
import { decodeMessage, encodeMessage, TYPE } from './message.ts';
import type { DatagramSocket, MulticastPlatform } from './multicast.ts';
import { MDNS_PORT, Multicast } from './multicast.ts';

const GROUP = '224.0.0.251';

interface Machine extends MulticastPlatform {
  interfaces: Record<string, { address: string; cidr: string; internal: boolean }[]>;
}

/** A link whose packets arrive in the order in which they are sent, while the test turns the clock. The sockets of programs are tested between processes. */
class Lan {
  readonly clock = new FakeClock();
  readonly timers = new FakeTimers(this.clock);
  readonly sent: { from: string; to: string; message: Message; bytes: Uint8Array }[] = [];
  readonly #heard = new Map<
    string,
    Map<number, (bytes: Uint8Array, from: { address: string; port: number }) => void>
  >();

  /** A machine with one interface; `interfaces` may be changed by the test. */
  machine(address: string, more: Partial<MulticastPlatform> = {}): Machine {
    const platform: Machine = {
      interfaces: { eth0: [{ address, cidr: `${address}/24`, internal: false }] },
      clock: this.clock,
      timers: this.timers,
      createSocket: (options) => this.#socket(options.type, address),
      networkInterfaces: () => platform.interfaces,
      ...more,
    };
    return platform;
  }

  /** As somebody else on the link would. */
  say(message: Partial<Message>, from = { address: '10.0.0.99', port: MDNS_PORT }, to = GROUP): void {
    this.#carry(encodeMessage(message), from, to);
  }

  async turn(ms: number, step = 10): Promise<void> {
    for (let passed = 0; passed < ms; passed += step) {
      this.timers.advance(step);
      await settled();
    }
  }

  #socket(type: string, address: string): DatagramSocket {
    let port = 0;
    return {
      bind: (asked, bound) => {
        if (type === 'udp4') port = asked;
        bound();
      },
      on: (event: string, hear: never) => {
        if (event !== 'message' || type !== 'udp4') return;
        const ports = this.#heard.get(address) ?? new Map<number, never>();
        ports.set(ports.size, hear);
        this.#heard.set(address, ports);
      },
      addMembership: () => undefined,
      setMulticastInterface: () => undefined,
      setMulticastTTL: () => undefined,
      send: (bytes, _port, to, sent) => {
        if (type === 'udp4') this.#carry(bytes, { address, port }, to);
        sent(null);
      },
      close: (closed) => closed(),
    };
  }

  #carry(bytes: Uint8Array, from: { address: string; port: number }, to: string): void {
    this.sent.push({ from: from.address, to, message: decodeMessage(bytes)!, bytes });
    for (const [address, ports] of this.#heard)
      if (to === GROUP || to === address) for (const hear of ports.values()) hear(bytes, from);
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

interface Started {
  stop(): Promise<void>;
  /** What it was called, one after the other. */
  names: string[];
  events: string[];
}

async function announce(lan: Lan, platform: MulticastPlatform, name: string, seed: number): Promise<Started> {
  const names: string[] = [];
  const events: string[] = [];
  const log = {
    ...quiet,
    info: (event: string, fields?: Record<string, unknown>) => {
      events.push(event);
      if (event === 'discovery.announced') names.push(String(fields?.['name']));
    },
    warn: (event: string) => void events.push(event),
  };
  const service = {
    kind: 'agent' as const,
    name,
    address: '0.0.0.0',
    port: 4_270 + seed,
    tls: false,
    host: null,
    workspace: () => 'w',
  };
  const { stop } = await announceService(service, { platform, random: new SeededRandom(seed), log });
  return { stop, names, events };
}

const instance = (name: string): string[] => [name, ...SERVICE];
const ask = (name: readonly string[], type: number, unicast = false): Partial<Message> => ({
  questions: [{ name, type, unicast }],
});
const browse = ask(SERVICE, TYPE.PTR);
const kinds = (records: readonly DnsRecord[]): string[] => records.map(({ data }) => data.kind);
const responsesOf = (lan: Lan, from: string): Message[] =>
  lan.sent.filter((packet) => packet.from === from && packet.message.isResponse).map(({ message }) => message);

describe('an announcer', () => {
  it('[DSC-5] asks three times for its name, says twice that it has it, and answers whoever asks with all of it', async () => {
    const lan = new Lan();
    const gpu = await announce(lan, lan.machine('10.0.0.1'), 'gpu', 1);
    await lan.turn(3_000);
    const probes = lan.sent.filter(({ message }) => !message.isResponse);
    expect(probes.map(({ message }) => kinds(message.authorities))).toEqual(
      Array.from({ length: 3 }, () => ['service', 'text']),
    );
    expect(responsesOf(lan, '10.0.0.1').map(({ answers }) => kinds(answers))).toEqual(
      Array.from({ length: 2 }, () => ['pointer', 'service', 'text', 'address']),
    );
    expect(gpu.names).toEqual(['gpu']);
    lan.sent.length = 0;
    lan.say(browse);
    await lan.turn(200);
    const [answer] = responsesOf(lan, '10.0.0.1');
    expect([kinds(answer!.answers), kinds(answer!.additionals)]).toEqual([['pointer'], ['service', 'text', 'address']]);
    // Who knows it already is told nothing; nor who asks for something else.
    lan.sent.length = 0;
    await lan.turn(2_000);
    lan.say({ ...browse, answers: answer!.answers });
    lan.say(ask(['_http', '_tcp', 'local'], TYPE.PTR));
    lan.say(ask(instance('gpu2'), TYPE.ANY));
    await lan.turn(2_000);
    expect(responsesOf(lan, '10.0.0.1')).toEqual([]);
    await gpu.stop();
  });

  it('[DSC-5] leaves its name to who has it, and one of two that ask at once gets it', async () => {
    const lan = new Lan();
    const first = await announce(lan, lan.machine('10.0.0.1'), 'gpu', 1);
    await lan.turn(3_000);
    const second = await announce(lan, lan.machine('10.0.0.2'), 'GPU', 2);
    await lan.turn(3_000);
    expect([first.names, second.names]).toEqual([['gpu'], ['GPU (2)']]);
    // Whatever the seeds: at once, one has the name and the other a number.
    for (let seed = 10; seed < 18; seed += 2) {
      const both = new Lan();
      const pair = [
        await announce(both, both.machine('10.0.0.1'), 'gpu', seed),
        await announce(both, both.machine('10.0.0.2'), 'gpu', seed + 1),
      ];
      await both.turn(6_000, 50);
      expect([seed, pair.map(({ names }) => names.at(-1)).toSorted((a, b) => (a! < b! ? -1 : 1))]).toEqual([
        seed,
        ['gpu', 'gpu (2)'],
      ]);
    }
    // Who asks at the same time with greater data goes first, and who has less is not minded.
    for (const [text, first] of [
      [255, 1_500],
      [0, 0],
    ] as const) {
      const tied = new Lan();
      const one = await announce(tied, tied.machine('10.0.0.1'), 'gpu', 1);
      await tied.turn(300);
      const claim: DnsRecord['data'] = { kind: 'text', bytes: Uint8Array.of(text) };
      tied.say({
        ...ask(instance('gpu'), TYPE.ANY),
        authorities: [{ name: instance('gpu'), ttl: 120, flush: true, data: claim }],
      });
      await tied.turn(1_000);
      expect([text, one.names]).toEqual([text, first > 0 ? [] : ['gpu']]);
      await tied.turn(first);
      expect(one.names).toEqual(['gpu']);
      await one.stop();
    }
    // Two networks are joined, and both had the name.
    const [left, right] = [new Lan(), new Lan()];
    const apart = await announce(left, left.machine('10.0.0.1'), 'gpu', 1);
    await announce(right, right.machine('10.0.0.2'), 'gpu', 2);
    await Promise.all([left.turn(3_000), right.turn(3_000)]);
    left.say({ isResponse: true, answers: responsesOf(right, '10.0.0.2')[0]!.answers });
    await left.turn(600);
    left.say({ isResponse: true, answers: responsesOf(right, '10.0.0.2')[0]!.answers });
    await left.turn(3_000);
    expect(apart.names).toEqual(['gpu', 'gpu (2)']);
    await first.stop();
  });

  it('[DSC-6] takes everything back when it ends, and what was never announced needs no goodbye', async () => {
    const lan = new Lan();
    const gpu = await announce(lan, lan.machine('10.0.0.1'), 'gpu', 1);
    await lan.turn(3_000);
    lan.sent.length = 0;
    await gpu.stop();
    await lan.turn(5_000);
    const [goodbye, ...more] = responsesOf(lan, '10.0.0.1');
    expect([kinds(goodbye!.answers), new Set(goodbye!.answers.map(({ ttl }) => ttl)), more]).toEqual([
      ['pointer', 'service', 'text', 'address'],
      new Set([0]),
      [],
    ]);
    const early = await announce(lan, lan.machine('10.0.0.2'), 'early', 2);
    await early.stop();
    await lan.turn(5_000);
    expect([responsesOf(lan, '10.0.0.2'), lan.timers.waiting]).toEqual([[], 0]);
  });

  it('[DSC-9] does nothing by itself but look for interfaces once a minute, and a flood of questions brings few answers', async () => {
    const lan = new Lan();
    let looks = 0;
    const machine = lan.machine('10.0.0.1');
    const gpu = await announce(lan, { ...machine, networkInterfaces: () => (looks++, machine.interfaces) }, 'gpu', 1);
    await lan.turn(5_000);
    lan.sent.length = 0;
    looks = 0;
    expect(lan.timers.waiting).toBe(1);
    await lan.turn(600_000, 1_000);
    expect([lan.sent.length, looks]).toEqual([0, 10]);
    // Nor for an interface on which nothing of it listens.
    machine.interfaces = {
      ...machine.interfaces,
      veth1: [{ address: 'fe80::7', cidr: 'fe80::7/64', internal: false }],
    };
    await lan.turn(120_000, 1_000);
    expect(lan.sent).toEqual([]);
    // 200 a second for three seconds: at once to a link, and by whoever wants the answer alone.
    for (let round = 0; round < 300; round++) {
      lan.say(browse);
      lan.say(ask(SERVICE, TYPE.PTR, true), { address: '10.0.0.98', port: 40_000 });
      await lan.turn(10);
    }
    const answers = lan.sent.filter(({ from }) => from === '10.0.0.1');
    expect(answers.filter(({ to }) => to === GROUP).length).toBeLessThanOrEqual(4);
    expect(answers.filter(({ to }) => to === '10.0.0.98').length).toBeLessThanOrEqual(40);
    expect(answers.length).toBeGreaterThan(10);
    // Somebody who claims every name that it takes is not answered without end.
    lan.sent.length = 0;
    let claimed = 0;
    const kick: DnsRecord['data'] = { kind: 'service', port: 1, target: ['h', 'local'] };
    lan.say({ isResponse: true, answers: [{ name: instance('gpu'), ttl: 120, flush: true, data: kick }] });
    lan.sent.length = 0;
    for (let round = 0; round < 600; round++) {
      const probe = lan.sent.at(-1);
      if (probe?.from === '10.0.0.1' && (lan.sent.length = 0) === 0)
        for (const { name, data } of [...probe.message.authorities, ...probe.message.answers])
          if (data.kind === 'service' && (claimed += 1) > 0)
            lan.say({ isResponse: true, answers: [{ name, ttl: 120, flush: true, data: { ...data, port: 1 } }] });
      await lan.turn(50, 50);
    }
    expect([claimed > 10, claimed < 60]).toEqual([true, true]);
    await gpu.stop();
  });

  it('[DSC-8] goes on where there is no network, and announces on an interface that comes within a minute', async () => {
    const lan = new Lan();
    const machine = lan.machine('10.0.0.1');
    const { eth0 } = machine.interfaces;
    machine.interfaces = { lo: [{ address: '127.0.0.1', cidr: '127.0.0.1/8', internal: true }] };
    const gpu = await announce(lan, machine, 'gpu', 1);
    await lan.turn(5_000);
    expect([lan.sent.length, gpu.events]).toEqual([0, ['discovery.no_network']]);
    machine.interfaces = { eth0: eth0! };
    await lan.turn(62_000);
    expect([responsesOf(lan, '10.0.0.1').length > 0, gpu.names]).toEqual([true, ['gpu']]);
    await gpu.stop();
    const broken = new Lan();
    const noSocket = {
      createSocket: () => {
        throw new Error('EMFILE');
      },
    };
    const without = await announce(broken, broken.machine('10.0.0.1', noSocket), 'gpu', 1);
    expect(without.events).toEqual(['discovery.unavailable']);
    await without.stop();
  });

  it('[DSC-2] says nothing of interfaces but their own addresses, and only those that are listened on', async () => {
    const lan = new Lan();
    const machine = lan.machine('10.0.0.1');
    machine.interfaces['eth0']!.push(
      { address: 'fd00::1', cidr: 'fd00::1/64', internal: false },
      { address: 'fe80::1', cidr: 'fe80::1/64', internal: false },
    );
    machine.interfaces['eth1'] = [{ address: '10.9.9.9', cidr: '10.9.9.9/24', internal: false }];
    const said = async (address: string): Promise<unknown> => {
      lan.sent.length = 0;
      const service = {
        kind: 'relay' as const,
        name: 'r',
        address,
        port: 1,
        tls: false,
        host: null,
        workspace: () => 'w',
      };
      const { stop } = await announceService(service, { platform: machine, random: new SeededRandom(1), log: quiet });
      await lan.turn(1_500);
      await stop();
      const all = responsesOf(lan, '10.0.0.1').map(({ answers }) =>
        answers.flatMap(({ data }) => (data.kind === 'address' ? data.address : [])).join(' '),
      );
      return [...new Set(all)].toSorted((a, b) => (a < b ? -1 : 1));
    };
    expect(await said('0.0.0.0')).toEqual(['10.0.0.1', '10.9.9.9']);
    expect(await said('::')).toEqual(['10.0.0.1 fd00::1', '10.9.9.9']);
    expect(await said('10.9.9.9')).toEqual(['10.9.9.9']);
    expect(await said('10.1.1.1')).toEqual([]);
  });
});

describe('discovering', () => {
  const found = async (
    lan: Lan,
    during: () => void | Promise<void>,
    ms = 1_500,
  ): Promise<Awaited<ReturnType<typeof discover>>> => {
    const multicast = await Multicast.open(lan.machine('10.0.0.50'));
    const asked = discover(multicast, lan.timers, ms);
    await lan.turn(50);
    await during();
    await lan.turn(ms);
    await multicast.close();
    return asked;
  };
  const txt = encodeAnnouncement({ kind: 'agent', versions: [1], tls: false, host: null, workspace: null });
  const records = (name: string, port = 4_270, address = '10.0.0.7'): DnsRecord[] => [
    { name: SERVICE, ttl: 9, flush: false, data: { kind: 'pointer', target: instance(name) } },
    { name: instance(name), ttl: 9, flush: true, data: { kind: 'service', port, target: ['h', name, 'local'] } },
    { name: instance(name), ttl: 9, flush: true, data: { kind: 'text', bytes: txt } },
    { name: ['h', name, 'local'], ttl: 9, flush: true, data: { kind: 'address', address } },
  ];

  it('[DSC-7] finds who is there, asks once more for what was left out, and forgets who has said goodbye', async () => {
    const lan = new Lan();
    const gpu = await announce(lan, lan.machine('10.0.0.1'), 'gpu', 1);
    const gone = await announce(lan, lan.machine('10.0.0.2'), 'gone', 2);
    await lan.turn(3_000);
    const { found: list, more } = await found(lan, async () => {
      lan.say({ isResponse: true, answers: records('late').slice(0, 1) });
      await lan.turn(500);
      await gone.stop();
      await lan.turn(700);
      const asked = lan.sent.findLast(({ from }) => from === '10.0.0.50')!.message;
      expect(asked.questions.map(({ type }) => type)).toEqual([TYPE.PTR, TYPE.SRV, TYPE.TXT]);
      // Who is known is named, and needs not answer.
      expect(asked.answers.map(({ data }) => data.kind === 'pointer' && data.target[0])).toEqual(['gpu']);
      lan.say({ isResponse: true, answers: records('late').slice(1) });
    });
    expect([list.map(({ name, url }) => [name, url]), more]).toEqual([
      [
        ['gpu', 'http://10.0.0.1:4271'],
        ['late', 'http://10.0.0.7:4270'],
      ],
      false,
    ]);
    // Questions, and nothing else.
    expect(lan.sent.filter(({ from, message }) => from === '10.0.0.50' && message.isResponse)).toEqual([]);
    await gpu.stop();
  });

  it('[DSC-3] believes no other port, no other network, and no service of another kind; a name that two claim is said', async () => {
    const lan = new Lan();
    const { found: list } = await found(lan, () => {
      lan.say({ isResponse: true, answers: records('port') }, { address: '10.0.0.99', port: 9_999 });
      lan.say({ isResponse: true, answers: records('far') }, { address: '192.168.7.7', port: MDNS_PORT });
      lan.say({ answers: records('question') });
      lan.say({
        isResponse: true,
        answers: records('other').map((record) => ({ ...record, name: ['x', '_http', '_tcp', 'local'] })),
      });
      lan.say({ isResponse: true, answers: records('public', 1, '8.8.8.8') });
      lan.say({ isResponse: true, answers: records('two', 1) });
      lan.say({ isResponse: true, answers: records('two', 2) });
      lan.say({ isResponse: true, answers: records('\u001b[2Jred') });
    });
    expect(list.map(({ name, url, contested }) => [name, url, contested])).toEqual([
      ['public', null, false],
      ['two', 'http://10.0.0.7:1', true],
      ['\ufffd[2Jred', 'http://10.0.0.7:4270', false],
    ]);
  });

  it('[DSC-3] remembers a bounded number of names, and says that there are more', async () => {
    const lan = new Lan();
    const { found: list, more } = await found(
      lan,
      async () => {
        for (let index = 0; index < 2_000; index++) {
          if (index % 100 === 0) await lan.turn(100);
          lan.say({ isResponse: true, answers: records(`n${index}`) });
        }
      },
      4_000,
    );
    expect([list.length, more]).toEqual([DISCOVERED_MAX, true]);
    const longest = lan.sent
      .filter(({ from }) => from === '10.0.0.50')
      .reduce((most, { bytes }) => Math.max(most, bytes.length), 0);
    expect(longest).toBeLessThan(1_400);
  });

  it('[DSC-8] says what is wrong where nothing can be sent', async () => {
    const lan = new Lan();
    const nowhere = lan.machine('10.0.0.1');
    nowhere.interfaces = {};
    const multicast = await Multicast.open(nowhere);
    await expect(discover(multicast, lan.timers, 1_000)).rejects.toMatchObject({
      code: 'peer_unreachable',
      message: expect.stringContaining('no network interface'),
    });
    const refusing = lan.machine('10.0.0.2');
    const { createSocket } = refusing;
    refusing.createSocket = (options) => ({
      ...createSocket(options),
      send: (_bytes, _port, _to, sent) => sent(new Error('EPERM')),
    });
    const walled = await Multicast.open(refusing);
    await expect(discover(walled, lan.timers, 1_000)).rejects.toMatchObject({
      code: 'peer_unreachable',
      message: expect.stringContaining('eth0'),
    });
    expect(lan.timers.waiting).toBe(0);
  });
});
