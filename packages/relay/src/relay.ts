import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Log } from '@fieldbook/core';
import { HybridClock, isFieldbookError, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import { RunIndex } from '@fieldbook/core/access';
import { createApi } from '@fieldbook/core/api';
import { Workspace } from '@fieldbook/core/documents';
import { Author } from '@fieldbook/core/fold';
import { RequestedFiles } from '@fieldbook/core/files';
import { PurgedRuns } from '@fieldbook/core/ingest';
import { Library } from '@fieldbook/core/library';
import { openReplica } from '@fieldbook/core/replica';
import { PeerMemories, ReplicationServer } from '@fieldbook/core/replication';
import { liveSource, Presence, RoomServer } from '@fieldbook/core/rooms';
import { SeriesReader } from '@fieldbook/core/series';
import { Orphans } from '@fieldbook/core/usage';
import { levelStorage } from '@fieldbook/core/store';
import { Audit } from './audit.ts';
import { BlobCare } from './blob-care.ts';
import { Archive } from './backup/archive.ts';
import { serveDump } from './backup/create.ts';
import type { RelayConfig } from './config/index.ts';
import { answeringJson, askApi, serveControl } from './control.ts';
import { Health } from './health.ts';
import { Certificate } from './http/certificate.ts';
import { auditRoutes } from './http/audit-routes.ts';
import { peopleRoutes } from './http/people-routes.ts';
import { SessionCookie } from './http/cookie.ts';
import { sessionRoutes } from './http/session-routes.ts';
import { Sessions } from './http/sessions.ts';
import { Limiter } from './http/limiter.ts';
import { limitsOf } from './http/limits.ts';
import { Proxies } from './http/proxies.ts';
import { closeServer, createHttpServer, listen } from './http/server.ts';
import { StaticSite } from './http/static.ts';
import { Invitations } from './invitations.ts';
import type { MetricsListener } from './metrics/listener.ts';
import { serveMetrics } from './metrics/listener.ts';
import { RelayMetrics } from './metrics/metrics.ts';
import { providerOf, signInAt } from './oidc/index.ts';
import { PeerList } from './peer-list.ts';
import { PACKAGE_FOLDER } from './package-folder.ts';
import { Peers } from './peers.ts';
import { bundlePlatform } from './platform/bundles.ts';
import { contextual } from './platform/context.ts';
import {
  freeBytes,
  loadDevice,
  lookingAfter,
  openBlobs,
  openDirectory,
  openLevel,
  restoreGuard,
  sha256,
  storeBytes,
} from './platform/data.ts';
import { DiskGuard } from './platform/disk.ts';
import { clock, gzipBytes, random, timers } from './platform/ports.ts';
import { createSockets } from './sockets.ts';
import { measureRelay } from './platform/usage.ts';
import { Retention } from './retention.ts';
import { RelaySync } from './sync-source.ts';
import { TokenUse } from './token-use.ts';
import { Tokens } from './tokens.ts';
import { VERSION } from './version.ts';
import { RelayWorkspace } from './workspace.ts';

export interface RelayOptions {
  config: RelayConfig;
  log: Log;
}

export interface Relay {
  url: string;
  port: number;
  workspace: string;
  /** How much was asked of it, and what was too much. */
  limiter: Limiter;
  /** Reads the certificate's files again. */
  reload(): Promise<void>;
  /** Says "not ready" from now on; takes in as before. */
  drain(): void;
  /** Takes no more, lets open requests end, flushes, closes the store. */
  close(): Promise<void>;
}

/** For a backup: nothing is removed from the first byte on until its reader goes. */
async function* holding(retention: Retention, gone: Promise<void>): AsyncGenerator<Uint8Array> {
  const release = await retention.hold();
  try {
    yield new Uint8Array([1]);
    await gone;
  } finally {
    release();
  }
}

/** Where the build of `@fieldbook/web` lies in this repository. */
const WEB_DIST = join(PACKAGE_FOLDER, '../web/dist');

/** Starts a relay. Throws `store_locked`, `store_version`, `port_in_use`. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { config } = options;
  const metrics = new RelayMetrics();
  const log = metrics.counting(contextual(options.log));
  const host = config['listen.host'];
  const { 'tls.cert': cert, 'tls.key': key } = config;
  const certificate = cert === null || key === null ? undefined : await Certificate.open({ cert, key }, log);
  const now = (): number => clock.now();
  const provider = providerOf(config, log, now);
  const proxies = new Proxies(config['access.proxies']);
  const limiter = new Limiter(limitsOf(config));
  const data = await openDirectory(config.data);
  const device = await loadDevice(data.device);
  const tokens = await Tokens.open(data.tokens);
  const use = await TokenUse.open(data.tokenUse);
  const invitations = await Invitations.open(data.invitations);
  const audit = new Audit(data.audit, {
    failed: (error) => log.error('audit.unwritable', { error: String(error) }),
  });
  const free = (): Promise<number> => freeBytes(data.store);
  const disk = new DiskGuard({
    freeBytes: free,
    reserve: config['disk.reserve'],
    log,
    onRoom: () => sync.replication?.takeAgain(),
  });
  const { deflate, inflate } = bundlePlatform;
  const history = { clock, deflate, inflate, maxBytes: config['history.size'], maxAgeMs: config['history.age'] };
  const level = levelStorage(await openLevel(data.store), lookingAfter(data.store));
  const replica = await openReplica({
    storage: metrics.timing(disk.storage(level)),
    device: device.id,
    key: device,
    random,
    guard: await restoreGuard(data.guard),
    compacted: () => metrics.compacted(),
    log,
    history,
  });
  disk.arm();
  const keepMs = config['archive.keep'];
  const archive =
    keepMs === null ? null : await Archive.open({ directory: join(config.data, 'archive'), replica, log, keepMs });
  await disk.isFull();
  // Before whoever asks it about a commit.
  const runs = new RunIndex(replica);
  const library = await Library.open(replica, log);
  const care = await BlobCare.open({
    replica,
    blobs: openBlobs(data.blobs),
    audit,
    log,
    lost: () => {
      sync.replication?.tellLosses();
      sync.peers?.fetchLost();
    },
  });
  const stored = care.watched();
  const orphans = await Orphans.open({ replica, blobs: stored, clock });
  const blobs = disk.blobs(orphans.watched());
  const retention = new Retention({
    replica,
    orphans,
    data,
    audit,
    log,
    config,
    removed: (what, bytes) => metrics.removed(what, bytes),
  });
  const workspace = await RelayWorkspace.open(replica, device.id);
  const author = new Author({ device: device.id, by: 'relay', hybrid: new HybridClock(clock), clock, random });
  const purged = new PurgedRuns(replica, blobs, log, { keepDocuments: true, cards: runs });
  purged.resume();
  const presence = new Presence(clock);
  const sync = new RelaySync(replica);
  const memories = new PeerMemories(replica);
  const requested = new RequestedFiles(replica, log);
  const peers = new Peers({
    list: await PeerList.open(data.peers),
    replica,
    memories,
    blobs,
    requested,
    presence,
    workspace,
    device,
    log,
    onChange: () => sync.changed(),
  });
  sync.peers = peers;
  const replication = new ReplicationServer({
    replica,
    memories,
    timers,
    clock,
    log,
    workspace,
    program: `fieldbook-relay/${VERSION}`,
    key: device,
    random,
    presence,
    isFull: () => disk.full,
    losses: () => care.losses,
    onChange: () => sync.changed(),
  });
  sync.replication = replication;
  const rooms = new RoomServer({ replica, timers, presence, log });
  const sessions = new Sessions(() => clock.now());
  const cookie = new SessionCookie(workspace.id);
  const rules = {
    tokens,
    use,
    audit,
    runs,
    hosts: config['access.hosts'],
    origins: config['access.origins'],
    proxies,
    limiter,
    sessions,
    cookie,
  };
  const signIn =
    provider === undefined ? undefined : signInAt(provider, config, { tokens, sessions, cookie, audit, now });
  const sockets = createSockets({ rules, rooms, replication, metrics, log });
  const api = createApi({
    program: { name: 'fieldbook-relay', version: VERSION },
    role: 'relay',
    replica,
    library,
    author,
    series: new SeriesReader(peers.fetching(blobs), {
      gunzip: (bytes, size) => gunzipSync(bytes, { maxOutputLength: Math.max(1, size) }),
    }),
    blobs,
    losses: () => care.losses,
    fetching: peers.fetching(blobs),
    requested,
    clock,
    timers,
    log,
    gzip: gzipBytes,
    bundles: { ...bundlePlatform, random, signer: device },
    sha256,
    workspace: async () => ({ id: workspace.id, name: workspace.name, private: false }),
    sync,
    live: liveSource(presence),
    storage: () => measureRelay({ data, storage: level, replica, blobs: stored }),
    routes: [
      ...peopleRoutes({ tokens, use, invitations, audit, limiter, now }),
      ...auditRoutes({ audit }),
      ...sessionRoutes({ sessions, cookie, audit, oidcLabel: signIn === undefined ? null : config['oidc.label'], now }),
    ],
  });
  const site = new StaticSite(config['web.directory'] ?? WEB_DIST);
  const health = new Health(replica, () => disk.isFull());
  metrics.measure({
    replica,
    replication,
    blobs,
    connections: () => sockets.counts(),
    limits: () => limiter.counts,
    storeBytes: () => storeBytes(data.store),
    waitingBlobs: () => orphans.waiting,
    freeBytes: free,
    isFull: () => disk.isFull(),
    isDraining: () => health.draining,
  });
  const server = createHttpServer({
    api,
    site,
    rules,
    health,
    metrics,
    signIn,
    log,
    certificate,
    hsts: config['tls.hsts'],
    upgrade: (...upgrade) => sockets.upgrade(...upgrade),
  });
  let scraped: MetricsListener | null = null;
  let control: { close(): void } | null = null;
  let discovery: { stop(): Promise<void> } | null = null;

  const stop = async (): Promise<void> => {
    health.drain();
    await discovery?.stop();
    tokens.close();
    certificate?.close();
    limiter.close();
    const served = closeServer(server, config['drain.timeout']);
    await sockets.close();
    await peers.close();
    sync.close();
    api.close();
    if (!(await served)) log.warn('relay.requests_cut', { after: config['drain.timeout'] });
    scraped?.close();
    control?.close();
    await metrics.close();
    disk.close();
    await retention.close();
    care.close();
    await purged.close();
    requested.close();
    library.close();
    runs.close();
    await replica.flush();
    await archive?.close();
    await replica.close();
    await use.close();
    await audit.close();
  };
  tokens.onEnded(({ id, role, name }, why) => {
    use.forget(id);
    sessions.endOf(id);
    // Whoever revokes it writes that down; that its time is over happens only here.
    if (why === 'expired') audit.record('token.expired', { id, role, name });
  });
  try {
    await replica
      .transact(WORKSPACE_DOCUMENT, (doc) => {
        const { id, publicKey, created } = device;
        new Workspace(doc).putDevice({
          kind: 'device',
          device: id,
          role: 'relay',
          name: 'relay',
          publicKey,
          created,
          extra: {},
        });
      })
      // A full disk is no reason not to be read; the record is written at a later start.
      .catch((error: unknown) => {
        if (!isFieldbookError(error, 'disk_full')) throw error;
        log.warn('relay.device_unwritten', { code: 'disk_full' });
      });
    void purged.scanAll();
    scraped = await serveMetrics(config, metrics);
    const rotate = async function* (): AsyncGenerator<Uint8Array> {
      await archive?.rotate();
      yield new Uint8Array([1]);
    };
    const controls = {
      dump: () => serveDump(level, () => replica.id),
      rotate,
      storage: () => answeringJson(() => askApi(api, '/storage')),
      clean: () => answeringJson(() => retention.clean({ dryRun: false })),
      check: () => answeringJson(() => care.check()),
      'clean-dry': () => answeringJson(() => retention.clean({ dryRun: true })),
      hold: (gone: Promise<void>) => holding(retention, gone),
    };
    control = await serveControl(config.data, controls, log);
    const port = await listen(server, config['listen.port'], host);
    peers.start();
    await retention.start();
    tokens.watch((error) => log.warn('tokens.unreadable', { error: String(error) }));
    if (config['discovery.announce']) {
      // Not loaded by those who do not want it.
      const { announceRelay } = await import('./platform/discovery.ts');
      discovery = await announceRelay({
        address: (server.address() as AddressInfo).address,
        port,
        hosts: config['access.hosts'],
        certificate: certificate?.pair.cert ?? null,
        workspace: () => workspace.id,
        log,
      });
    }
    const url = `${certificate === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    log.info('relay.started', {
      url,
      pid: process.pid,
      version: VERSION,
      workspace: workspace.id,
      tokens: tokens.list().length,
      ...(scraped === null ? {} : { metricsPort: scraped.port }),
    });
    return {
      url,
      port,
      workspace: workspace.id,
      limiter,
      reload: async () => certificate?.reload(),
      drain: () => health.drain(),
      close: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
