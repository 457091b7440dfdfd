import { describe, expect, it, vi } from 'vitest';
import { SUBPROTOCOL, decodeFrame, encodeFrame } from '@fieldbook/core/replication';
import type { Frame } from '@fieldbook/core/replication';
import { WebSocket } from 'ws';
import { Machine, Relay } from '../scaffold/machine.ts';

interface Sync {
  lastSeq: number | null;
  peers: {
    url: string;
    connected: boolean;
    since: number | null;
    incoming: boolean;
    pushedThrough: number | null;
    pulledThrough: number | null;
    pendingDocuments: number;
  }[];
  settled: boolean;
}

/** One who has a token, and says of itself what it likes. */
class Forger {
  readonly heard: Frame[] = [];
  closed: number | undefined;
  readonly #socket: WebSocket;

  constructor(url: string, token: string) {
    this.#socket = new WebSocket(`${url.replace('http', 'ws')}/api/v1/replicate`, [SUBPROTOCOL], {
      headers: { authorization: `Bearer ${token}` },
    });
    this.#socket.on('message', (data: Buffer) => void this.heard.push(decodeFrame(new Uint8Array(data))!));
    this.#socket.on('close', (code) => (this.closed = code));
  }

  async opened(): Promise<this> {
    await new Promise((resolve) => this.#socket.once('open', resolve));
    return this;
  }

  say(...frames: Frame[]): void {
    for (const frame of frames) this.#socket.send(encodeFrame(frame));
  }

  async hears(kind: Frame['kind']): Promise<Frame> {
    return vi.waitFor(() => {
      const frame = this.heard.find((each) => each.kind === kind);
      if (frame === undefined)
        throw new Error(`no ${kind} in ${this.heard.map((each) => each.kind).join()}; closed ${this.closed}`);
      return frame;
    });
  }

  close(): void {
    this.#socket.terminate();
  }
}

describe('who says that it is another machine', () => {
  it('[RPL-65] [ACC-75] stops nothing of it at a relay, closes no connection of it, and is not told its id', async () => {
    const relay = await new Relay().up();
    const [member, contributor, scoped] = await Promise.all([
      relay.token('member', 'team'),
      relay.token('contributor', 'evil'),
      relay.token('viewer', 'guest', '--project', 'speech'),
    ]);
    const [victim, other] = await Promise.all([new Machine('victim', 'ada').up(), new Machine('other', 'bob').up()]);
    for (const machine of [victim, other]) {
      const joined = await machine.api('POST', '/join', { url: relay.url, token: member });
      expect(joined.status).toBe(200);
    }
    const settled = (machine: Machine) =>
      vi.waitFor(async () => expect((await machine.api<Sync>('GET', '/sync')).body).toMatchObject({ settled: true }), {
        timeout: 20_000,
      });
    await Promise.all([settled(victim), settled(other)]);
    const id = (await victim.api<{ replica: string }>('GET', '/device')).body.replica;
    const workspace = (await victim.api<{ id: string }>('GET', '/workspace')).body.id;

    // What others are told of it at the relay.
    const told = await Promise.all(
      [contributor, scoped].map(async (token) => (await relay.api<Sync>(token, 'GET', '/sync')).body),
    );
    for (const { peers } of told) {
      expect(peers.map(({ url, incoming }) => [/^replica:[0-9a-z]{16}$/.test(url), incoming])).toEqual([
        [true, true],
        [true, true],
      ]);
      expect(JSON.stringify(peers)).not.toContain(id);
    }
    expect(told[0]!.lastSeq).toBeGreaterThan(0);
    expect(told[0]!.peers.every(({ pulledThrough }) => typeof pulledThrough === 'number')).toBe(true);
    expect([told[1]!.lastSeq, ...told[1]!.peers.flatMap((peer) => [peer.pushedThrough, peer.pulledThrough])]).toEqual(
      Array.from({ length: 5 }, () => null),
    );

    // It has the id from elsewhere.
    const hello = {
      versions: [1],
      replica: id,
      device: 'd000000000000000000000000',
      workspace,
      workspaceName: null,
      program: 'evil/1',
      role: null,
    };
    const greeted = async (token: string): Promise<Forger> => {
      const forger = await new Forger(relay.url, token).opened();
      forger.say({ kind: 'hello', hello }, { kind: 'resume', seq: 0 });
      // It is met as one that nothing is known of.
      expect(await forger.hears('resume')).toEqual({ kind: 'resume', seq: 0 });
      return forger;
    };
    const before = (await victim.api<Sync>('GET', '/sync')).body.peers[0]!;
    for (const token of [contributor, scoped]) (await greeted(token)).close();
    const after = (await victim.api<Sync>('GET', '/sync')).body.peers[0]!;
    expect([after.connected, after.since]).toEqual([true, before.since]);

    // While it is away it makes runs, and somebody says that there is nothing new of it through just there.
    const pause = (paused: boolean) => victim.api('POST', '/sync/pause', { url: relay.url, paused });
    expect((await pause(true)).status).toBe(200);
    expect((await victim.api('POST', '/demo', {})).status).toBe(200);
    const through = (await victim.api<Sync>('GET', '/sync')).body.lastSeq!;
    const forger = await greeted(contributor);
    forger.say({ kind: 'feed', entries: [], through, more: false });
    expect(await forger.hears('cursor')).toMatchObject({ seq: through });
    forger.close();
    expect((await pause(false)).status).toBe(200);
    await settled(victim);
    const runs = async (api: (path: string) => Promise<{ body: unknown }>): Promise<number> => {
      const { body } = await api('/projects/digits/runs?limit=100');
      return (body as { runs?: unknown[] }).runs?.length ?? 0;
    };
    const made = await runs((path) => victim.api('GET', path));
    expect(made).toBeGreaterThan(0);
    expect(await runs((path) => relay.api(member, 'GET', path))).toBe(made);
    await vi.waitFor(async () => expect(await runs((path) => other.api('GET', path))).toBe(made), { timeout: 20_000 });
  }, 60_000);
});
