import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { IntervalHistogram } from 'node:perf_hooks';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { BlobStore, Log, Storage } from '@fieldbook/core';
import type { Replica } from '@fieldbook/core/replica';
import type { ReplicationServer } from '@fieldbook/core/replication';
import { VERSION } from '../version.ts';
import type { Counter } from './registry.ts';
import { Registry } from './registry.ts';

/** From a battery-backed cache to a disk that is about to fail. */
const FSYNC_BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** Walking all blobs and documents costs; the numbers move slowly. */
const MEASURE_EVERY_MS = 5 * 60_000;
const LOOP_RESOLUTION_MS = 100;

interface Sizes {
  documents: number;
  quarantined: number;
  bytes: number;
  blobs: number;
  blobBytes: number;
  storeBytes: number;
}

/** What the numbers are read from. */
export interface Measured {
  replica: Replica;
  replication: ReplicationServer;
  blobs: BlobStore;
  /** Open sockets by kind. */
  connections(): Readonly<Record<string, number>>;
  /** How often each limit was reached. */
  limits(): Iterable<readonly [limit: string, times: number]>;
  /** Bytes of LevelDB's files. */
  storeBytes(): Promise<number>;
  /** Blobs that no run names and that are to be removed. */
  waitingBlobs(): number;
  freeBytes(): Promise<number>;
  isFull(): Promise<boolean>;
  isDraining(): boolean;
}

/**
 * Everything that a relay counts. Code that refuses, limits or fails something calls `refused(code)`; whatever is logged
 * is counted by its event besides, so that a number and the log never disagree.
 */
export class RelayMetrics {
  readonly registry = new Registry();
  readonly #refusals: Counter;
  readonly #authFailures: Counter;
  readonly #events: Counter;
  readonly #accepted: Counter;
  readonly #closes: Counter;
  readonly #responses: Counter;
  readonly #compactions: Counter;
  readonly #removed: Counter;
  readonly #commits: Counter;
  readonly #commitBytes: Counter;
  readonly #fsync;
  readonly #sockets = new Set<Socket>();
  #received = 0;
  #sent = 0;
  #loop: IntervalHistogram | undefined;
  #sizes: Sizes | undefined;
  #measured = 0;
  #measuring: Promise<void> | undefined;

  constructor() {
    const { registry } = this;
    this.#refusals = registry.counter('fieldbook_relay_refusals_total', 'What was refused, by error code.');
    this.#authFailures = registry.counter(
      'fieldbook_relay_auth_failures_total',
      'Requests and connections without a valid token.',
    );
    this.#events = registry.counter('fieldbook_relay_events_total', 'Log lines of warnings and errors, by event.');
    this.#accepted = registry.counter(
      'fieldbook_relay_connections_accepted_total',
      'WebSockets that were let in, by kind.',
    );
    this.#closes = registry.counter(
      'fieldbook_relay_connections_closed_total',
      'WebSockets that ended, by kind and close code.',
    );
    this.#responses = registry.counter('fieldbook_relay_http_responses_total', 'HTTP answers, by status.');
    this.#compactions = registry.counter('fieldbook_relay_compactions_total', 'Documents whose log became a snapshot.');
    this.#removed = registry.counter(
      'fieldbook_relay_removed_bytes_total',
      'Bytes that retention has removed, by what they were.',
    );
    this.#commits = registry.counter('fieldbook_relay_commits_total', 'Commits that are on disk.');
    this.#commitBytes = registry.counter('fieldbook_relay_commit_bytes_total', 'Bytes of updates that were committed.');
    this.#fsync = registry.histogram(
      'fieldbook_relay_fsync_seconds',
      'How long a batch took to be on disk.',
      FSYNC_BOUNDS,
    );
    registry.gauge(
      'fieldbook_relay_received_bytes_total',
      'Bytes that came in over all connections.',
      () => this.#bytes('bytesRead', this.#received),
      'counter',
    );
    registry.gauge(
      'fieldbook_relay_sent_bytes_total',
      'Bytes that went out over all connections.',
      () => this.#bytes('bytesWritten', this.#sent),
      'counter',
    );
    registry.gauge('fieldbook_relay_build_info', 'Which program this is; always 1.', () => [
      [{ version: VERSION, node: process.versions.node }, 1],
    ]);
    registry.gauge('process_start_time_seconds', 'When the process began, since the epoch.', () =>
      Math.round((Date.now() - performance.now()) / 1000),
    );
    registry.gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss());
    registry.gauge(
      'process_cpu_seconds_total',
      'User and system time.',
      () => (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
      'counter',
    );
    registry.gauge('fieldbook_relay_heap_bytes', 'Used heap of JavaScript.', () => process.memoryUsage().heapUsed);
    registry.gauge(
      'fieldbook_relay_external_bytes',
      'Memory of buffers outside of the heap.',
      () => process.memoryUsage().external,
    );
    registry.gauge(
      'fieldbook_relay_event_loop_delay_seconds',
      'How late timers were since the last scrape, by quantile.',
      () => this.#delay(),
    );
  }

  /** Something was refused with `code`, a stable one. */
  refused(code: string): void {
    this.#refusals.add(1, { code });
    if (code === 'unauthorized') this.#authFailures.add();
  }

  accepted(kind: string): void {
    this.#accepted.add(1, { kind });
  }

  closed(kind: string, code: number): void {
    this.#closes.add(1, { kind, code: String(code) });
  }

  responded(status: number): void {
    this.#responses.add(1, { status: String(status) });
  }

  compacted(): void {
    this.#compactions.add();
  }

  /** Retention removes so much of something. */
  removed(what: string, bytes: number): void {
    this.#removed.add(bytes, { what });
  }

  /** Counts warnings and errors on their way to the log. */
  counting(log: Log): Log {
    const counted =
      (level: 'warn' | 'error') =>
      (event: string, fields?: Record<string, unknown>): void => {
        this.#events.add(1, { level, event });
        if (typeof fields?.['code'] === 'string') this.#refusals.add(1, { code: fields['code'] });
        log[level](event, fields);
      };
    return { ...log, warn: counted('warn'), error: counted('error') };
  }

  /** The same storage, its fsyncs timed. */
  timing(storage: Storage): Storage {
    return {
      ...storage,
      batch: async (operations, durability) => {
        const began = performance.now();
        await storage.batch(operations, durability);
        if (durability.sync) this.#fsync.observe((performance.now() - began) / 1000);
      },
    };
  }

  /** Counts the bytes of a server's connections. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        this.#received += socket.bytesRead;
        this.#sent += socket.bytesWritten;
      });
    });
  }

  /** What can only be read from the running parts. */
  measure(of: Measured): void {
    const { registry } = this;
    of.replica.onCommit(({ update }) => {
      this.#commits.add();
      this.#commitBytes.add(update.length);
    });
    const size = (read: (sizes: Sizes) => number) => (): number | undefined => {
      this.#remeasure(of);
      return this.#sizes === undefined ? undefined : read(this.#sizes);
    };
    const sum = (read: (session: { outstanding: number; waiting: number }) => number) => (): number =>
      [...of.replication.sessions].reduce((total, session) => total + read(session), 0);
    registry.gauge('fieldbook_relay_connections', 'Open WebSockets, by kind.', () =>
      Object.entries(of.connections()).map(([kind, count]) => [{ kind }, count] as const),
    );
    registry.gauge('fieldbook_relay_feed_seq', 'The last commit of the feed.', () => of.replica.lastSeq);
    registry.gauge(
      'fieldbook_relay_outstanding_documents',
      'Documents that peers were told of and have not acknowledged.',
      sum((session) => session.outstanding),
    );
    registry.gauge(
      'fieldbook_relay_waiting_documents',
      'Documents that peers listed and that are not here yet.',
      sum((session) => session.waiting),
    );
    registry.gauge(
      'fieldbook_relay_rate_limited_total',
      'How often a limit was reached: what was refused for it, and for bytes what was read later.',
      () => [...of.limits()].map(([limit, times]) => [{ limit }, times] as const),
      'counter',
    );
    registry.gauge(
      'fieldbook_relay_documents',
      'Documents in the store.',
      size((sizes) => sizes.documents),
    );
    registry.gauge(
      'fieldbook_relay_quarantined_documents',
      'Documents that are damaged on disk and not served.',
      size((sizes) => sizes.quarantined),
    );
    registry.gauge(
      'fieldbook_relay_document_bytes',
      'Bytes of all documents with their logs.',
      size((sizes) => sizes.bytes),
    );
    registry.gauge(
      'fieldbook_relay_blobs',
      'Blobs: segments, files and their chunks.',
      size((sizes) => sizes.blobs),
    );
    registry.gauge(
      'fieldbook_relay_blob_bytes',
      'Bytes of all blobs.',
      size((sizes) => sizes.blobBytes),
    );
    registry.gauge(
      'fieldbook_relay_store_bytes',
      'Bytes of the store on disk.',
      size((sizes) => sizes.storeBytes),
    );
    registry.gauge('fieldbook_relay_waiting_blobs', 'Blobs that no run names and that are to be removed.', () =>
      of.waitingBlobs(),
    );
    registry.gauge('fieldbook_relay_disk_free_bytes', 'Bytes that can still be written to the disk of the data.', () =>
      of.freeBytes(),
    );
    registry.gauge('fieldbook_relay_disk_full', '1 while writes are refused for want of space.', async () =>
      Number(await of.isFull()),
    );
    registry.gauge('fieldbook_relay_draining', '1 while the relay ends.', () => Number(of.isDraining()));
  }

  /** Measures how late the event loop is from now on. It wakes the process ten times a second, so only when somebody scrapes. */
  watchLoop(): void {
    this.#loop ??= monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
    this.#loop.enable();
  }

  /** Resolves when no walk through the store is under way any more. */
  async close(): Promise<void> {
    this.#loop?.disable();
    await this.#measuring;
  }

  #bytes(of: 'bytesRead' | 'bytesWritten', closed: number): number {
    let total = closed;
    for (const socket of this.#sockets) total += socket[of];
    return total;
  }

  #delay(): readonly (readonly [{ quantile: string }, number])[] | undefined {
    const loop = this.#loop;
    if (loop === undefined || loop.count === 0) return undefined;
    const late = (ns: number): number => Math.max(0, ns / 1e9 - LOOP_RESOLUTION_MS / 1000);
    const quantiles = [
      [{ quantile: '0.5' }, late(loop.percentile(50))],
      [{ quantile: '0.99' }, late(loop.percentile(99))],
      [{ quantile: '1' }, late(loop.max)],
    ] as const;
    loop.reset();
    return quantiles;
  }

  /** A walk in the background; a scrape never waits for one. */
  #remeasure({ replica, blobs, storeBytes }: Measured): void {
    if (this.#measuring !== undefined || (this.#sizes !== undefined && Date.now() - this.#measured < MEASURE_EVERY_MS))
      return;
    const walk = async (): Promise<void> => {
      const sizes = { documents: 0, quarantined: 0, bytes: 0, blobs: 0, blobBytes: 0, storeBytes: await storeBytes() };
      for await (const { size, quarantined } of replica.list()) {
        sizes.documents += 1;
        sizes.bytes += size;
        if (quarantined) sizes.quarantined += 1;
      }
      for await (const { size } of blobs.list()) {
        sizes.blobs += 1;
        sizes.blobBytes += size;
      }
      this.#sizes = sizes;
      this.#measured = Date.now();
    };
    this.#measuring = walk()
      .catch(() => undefined)
      .finally(() => {
        this.#measuring = undefined;
      });
  }
}
