import type { ChildProcess } from 'node:child_process';
import { execFileSync, fork, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as encoding from 'lib0/encoding';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { Book } from '@fieldbook/core/documents';
import { makeTestEdit, testEditId } from '@fieldbook/core/testing';
import { ROOT } from './harness.ts';

/** The room that every system serves; those without documents take any address. */
const ROOM = 'book/mnist/2026-11';

/** Visitors that wait longer than this wait for what does not come. */
const WAITS_MS = 60_000;

/** What Node is started with for a relay in the image and as a service. */
const HEAP = '--max-semi-space-size=4';

/** A process that serves a room, and how it is entered. */
export interface RoomServerProcess {
  readonly system: string;
  readonly url: string;
  readonly protocols: string[];
  /** Passes messages on and answers nothing. */
  readonly bare: boolean;
  /** Resident memory in MB; null where the system does not say. */
  memory(): number | null;
  /** Ends it, and starts it again in the same place; the way back in is the same. Only a relay can. */
  restart?(): Promise<void>;
  close(): Promise<void>;
}

/** A real relay with a token for everybody, on a folder that goes with it. */
export async function startRelayProcess(): Promise<RoomServerProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-bench-relay-'));
  const program = join(ROOT, 'packages/relay/bin/fieldbook-relay.mjs');
  const env = { ...process.env, FIELDBOOK_HOME: folder };
  const start = (port: number): Promise<[ChildProcess, string]> =>
    said(
      spawn(process.execPath, [HEAP, program, 'serve', '--port', String(port), '--data', folder], {
        env,
        stdio: 'pipe',
      }),
      /http:\/\/127\.0\.0\.1:(\d+)/,
    );
  let [child, port] = await start(0);
  const made = execFileSync(
    process.execPath,
    [program, 'token', 'create', '--role', 'member', '--name', 'bench', '--data', folder],
    { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const token = /fbt_[A-Za-z0-9_-]+/.exec(made)![0];
  return {
    system: 'fieldbook',
    url: `ws://127.0.0.1:${port}/rooms/${ROOM}`,
    protocols: ['fieldbook.v1', `fieldbook.token.${token}`],
    bare: false,
    memory: () => residentMb(child),
    async restart() {
      await ended(child, 'SIGTERM');
      [child, port] = await start(Number(port));
    },
    async close() {
      await ended(child, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** `bare` or `stock` of bench/room-peers.mjs. */
export async function startPeerProcess(which: 'bare' | 'stock', system: string): Promise<RoomServerProcess> {
  const [child, port] = await said(
    spawn(process.execPath, [join(ROOT, 'bench/room-peers.mjs'), which], { stdio: 'pipe' }),
    /listening (\d+)/,
  );
  return {
    system,
    url: `ws://127.0.0.1:${port}/${ROOM}`,
    protocols: [],
    bare: which === 'bare',
    memory: () => residentMb(child),
    close: () => ended(child, 'SIGKILL'),
  };
}

type Report =
  | { what: 'joined'; id: string; ms: number }
  | { what: 'left'; id: string }
  | { what: 'failed'; id: string; why: string }
  | { what: 'got'; id: string; times: number[] }
  | { what: 'digest'; id: string; digest: string };

/** Visitors in processes of their own, so that what they cost is not taken from whoever sends. */
export class Visitors {
  readonly #children: ChildProcess[];
  readonly #listeners = new Set<(report: Report, child: number) => void>();

  constructor(processes: number) {
    this.#children = Array.from({ length: processes }, (_, index) => {
      const child = fork(join(ROOT, 'bench/room-clients.mjs'), { execArgv: [] });
      child.on('message', (report: Report) => {
        for (const listener of this.#listeners) listener(report, index);
      });
      return child;
    });
  }

  /** Lets `count` visitors in and resolves, when all are in sync, with the ms of the slowest process. */
  async join(
    id: string,
    server: RoomServerProcess,
    count: number,
    more: { atOnce?: boolean; state?: string } = {},
  ): Promise<number> {
    const { url, protocols, bare } = server;
    const each = this.#share(count);
    const joined = this.#from(id, 'joined', (index) => each[index]! > 0);
    this.#tell((index) =>
      each[index]! > 0 ? { what: 'join', id, url, protocols, bare, count: each[index]!, ...more } : null,
    );
    return Math.max(...(await joined).map(({ ms }) => ms));
  }

  /** Resolves, when every visitor has the next change, with the times at which each got it (ns, monotonic). */
  async got(id: string, count: number): Promise<number[]> {
    const each = this.#share(count);
    return (await this.#from(id, 'got', (index) => each[index]! > 0)).flatMap(({ times }) => times);
  }

  /** What the one real document of each process holds. */
  async digests(id: string, count: number): Promise<string[]> {
    const each = this.#share(count);
    const all = this.#from(id, 'digest', (index) => each[index]! > 0);
    this.#tell((index) => (each[index]! > 0 ? { what: 'digest', id } : null));
    return (await all).map(({ digest }) => digest);
  }

  async leave(id: string): Promise<void> {
    const left = this.#from(id, 'left', () => true);
    this.#tell(() => ({ what: 'leave', id }));
    await left;
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #share(count: number): number[] {
    const { length } = this.#children;
    return this.#children.map((_, index) => Math.floor(count / length) + (index < count % length ? 1 : 0));
  }

  #tell(order: (child: number) => object | null): void {
    for (const [index, child] of this.#children.entries()) {
      const message = order(index);
      if (message !== null) child.send(message);
    }
  }

  /** One report of this kind from each process that `takesPart`. */
  #from<What extends Report['what']>(
    id: string,
    what: What,
    takesPart: (child: number) => boolean,
  ): Promise<Extract<Report, { what: What }>[]> {
    const waiting = new Set([...this.#children.keys()].filter(takesPart));
    const reports: Extract<Report, { what: What }>[] = [];
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${id}: nobody in ${waiting.size} processes said "${what}".`)),
        WAITS_MS,
      );
      const listener = (report: Report, child: number): void => {
        if (report.id !== id) return;
        if (report.what === 'failed') reject(new Error(`${id}: ${report.why}`));
        if (report.what !== what || !waiting.delete(child)) return;
        reports.push(report as Extract<Report, { what: What }>);
        if (waiting.size > 0) return;
        clearTimeout(timer);
        this.#listeners.delete(listener);
        resolve(reports);
      };
      this.#listeners.add(listener);
    });
  }
}

/** Somebody in a room who makes edits. */
export class Editor {
  readonly doc = new Y.Doc();
  readonly #socket: WebSocket;
  readonly #opened: Promise<void>;
  #edits: number;

  /** `from` is the number of its first edit: two editors of one room do not say different things under one id. */
  constructor(server: RoomServerProcess, from = 0) {
    this.#edits = from;
    const socket = new WebSocket(server.url, server.protocols, { perMessageDeflate: false });
    this.#socket = socket;
    this.#opened = new Promise((resolve, reject) => {
      socket.on('open', () => {
        // Everything of ours is in changes from now on; the server has nothing older of ours to ask for.
        if (!server.bare) socket.send(syncMessage(0, Y.encodeStateVector(this.doc)));
        resolve();
      });
      socket.on('error', reject);
    });
  }

  async open(): Promise<this> {
    await this.#opened;
    return this;
  }

  /** Sends one more edit; when, in ns of the machine's monotonic clock. */
  send(): number {
    this.#edits += 1;
    const before = Y.encodeStateVector(this.doc);
    const edit = makeTestEdit({ id: testEditId(this.#edits), field: 'tags', op: 'add', value: `t${this.#edits}` });
    new Book(this.doc).addEdit(edit);
    const message = syncMessage(2, Y.encodeStateAsUpdate(this.doc, before));
    const at = Number(process.hrtime.bigint());
    this.#socket.send(message);
    return at;
  }

  close(): void {
    this.#socket.terminate();
  }
}

function syncMessage(kind: number, bytes: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarUint(encoder, kind);
  encoding.writeVarUint8Array(encoder, bytes);
  return encoding.toUint8Array(encoder);
}

function residentMb({ pid }: ChildProcess): number | null {
  try {
    const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kb === undefined ? null : Number(kb) / 1024;
  } catch {
    return null;
  }
}

/** The process once it has said `pattern`, and the first group of it. */
function said(child: ChildProcess, pattern: RegExp): Promise<[ChildProcess, string]> {
  let output = '';
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream!.setEncoding('utf8').on('data', (text: string) => {
        // What it says later is read and thrown away: a full pipe would stop it.
        if (output.length < 100_000) output += text;
        const match = pattern.exec(output);
        if (match !== null) resolve([child, match[1]!]);
      });
    }
    child.on('error', reject);
    child.on('exit', () => reject(new Error(`A server ended before it listened:\n${output}`)));
  });
}

function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}
