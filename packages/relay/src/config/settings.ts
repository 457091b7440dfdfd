import { homedir } from 'node:os';
import { join } from 'node:path';
import { LOG_LEVELS } from '../platform/ports.ts';
import type { Kind } from './kinds.ts';
import { signInRules } from '../oidc/rules.ts';
import { addresses, choice, flag, isLoopback, listOf, maybe, size, span, text, webAddress, whole } from './kinds.ts';

/** One setting of a relay. */
export interface Setting<T> {
  readonly kind: Kind<T>;
  /** What it is when nobody says it. */
  readonly default: T;
  /** One line for `--help`, `config check` and the operations page. */
  readonly about: string;
  /** The flag of `serve`, as commander takes it. Without one the setting has none. */
  readonly flag?: string;
  /** Never shown again: `config check` says only that it is set. */
  readonly secret?: true;
}

function setting<T>(
  kind: Kind<T>,
  standard: NoInfer<T>,
  about: string,
  more: { flag?: string; secret?: true } = {},
): Setting<T> {
  return { kind, default: standard, about, ...more };
}

const MIB = 1024 * 1024;
const DAY = 86_400_000;

/**
 * Every setting of a relay; the key is its place in the file (`listen.port` is `{"listen": {"port": …}}`), and names its
 * variable in the environment (`FIELDBOOK_RELAY_LISTEN_PORT`; `a.bigThing` is `FIELDBOOK_RELAY_A_BIG_THING`).
 *
 * To add one: add a line here with its kind (kinds.ts), default and a sentence, in the order of keys. It is then read
 * from the file, the environment and, with `flag`, the command line, checked, typed, shown by `config check`, and
 * wherever a `RelayConfig` is at hand it is `config['your.key']`. What needs two settings together goes into
 * `CONFLICTS`. Add the key to the table in docs/operations.md too; a test compares the two.
 */
export const SETTINGS = {
  data: setting(text(), join(homedir(), '.fieldbook-relay'), 'where everything lies', { flag: '--data <directory>' }),
  'listen.host': setting(text(), '127.0.0.1', 'what to listen on', { flag: '--host <address>' }),
  'listen.port': setting(whole(0, 65_535), 4280, 'which port; 0 takes any', { flag: '--port <port>' }),
  'access.hosts': setting(listOf(text()), [], 'answer to these host names only', { flag: '--allow-host <name...>' }),
  'access.origins': setting(listOf(text()), [], 'let pages of these origins connect too', {
    flag: '--allow-origin <origin...>',
  }),
  'access.proxies': setting(listOf(addresses()), [], 'believe X-Forwarded-… headers of proxies at these addresses', {
    flag: '--trust-proxy <range...>',
  }),
  'tls.cert': setting(maybe(text()), null, 'serve https with this certificate (PEM, with its chain)', {
    flag: '--tls-cert <file>',
  }),
  'tls.key': setting(maybe(text()), null, 'and its private key (PEM); both are read again when they change', {
    flag: '--tls-key <file>',
  }),
  'tls.hsts': setting(flag(), true, 'tell browsers to come over https only, for a year'),
  'oidc.issuer': setting(maybe(webAddress()), null, 'let people sign in at this OpenID Connect provider'),
  'oidc.clientId': setting(maybe(text()), null, 'as which client this relay is known there'),
  'oidc.clientSecretFile': setting(maybe(text()), null, 'a file with the secret of that client'),
  'oidc.publicUrl': setting(maybe(webAddress()), null, 'where browsers reach this relay, as the provider knows it'),
  'oidc.label': setting(text(), 'your organisation', 'what the button for signing in says behind "Sign in with"'),
  'oidc.scopes': setting(listOf(text()), ['openid', 'profile', 'email'], 'what the provider is asked for'),
  'oidc.groupsClaim': setting(text(), 'groups', 'the claim with the groups of a person; dots lead into objects'),
  'oidc.allow': setting(signInRules(), [], 'who may sign in and do what; the first rule that fits decides'),
  'oidc.sessionLifetime': setting(span(60_000), 12 * 3_600_000, 'how long somebody who signed in stays so'),
  // What was not used of a rate in the last ten seconds may come at once.
  // A page asks for some hundred files at its first visit, and a whole office may share an address.
  'limits.requestsPerAddress': setting(maybe(whole(1, 1e6)), 2_000, 'HTTP requests a second of one address'),
  // An agent that sends many small files makes some hundred a second.
  'limits.requestsPerToken': setting(maybe(whole(1, 1e6)), 1_000, 'HTTP requests a second with one token'),
  // After a restart everybody behind one address comes back within seconds.
  'limits.upgradesPerAddress': setting(maybe(whole(1, 1e6)), 200, 'new WebSockets a second of one address'),
  // More is read later.
  'limits.bytesPerConnection': setting(maybe(size(64 * 1024)), 32 * MIB, 'bytes a second that one WebSocket sends'),
  'limits.bytesPerToken': setting(
    maybe(size(64 * 1024)),
    64 * MIB,
    'bytes a second that everything with one token sends',
  ),
  // What is held of request bodies that are not taken in yet, and as much again of answers that are not read yet. A machine sends a
  // few chunks of 8 MiB at a time; a blob may have 64 MiB.
  'limits.bytesUnderWay': setting(maybe(size(MIB)), 512 * MIB, 'bytes of requests in memory at a time, and of answers'),
  'limits.bytesUnderWayPerToken': setting(maybe(size(MIB)), 128 * MIB, 'the same with one token'),
  'limits.connectionsPerAddress': setting(maybe(whole(1, 1e6)), 2_000, 'connections of one address at a time'),
  'limits.connectionsPerToken': setting(
    maybe(whole(1, 1e6)),
    2_000,
    'WebSockets, large uploads and large or streamed answers with one token at a time',
  ),
  // Each may hold a few hundred kilobytes.
  'limits.connections': setting(maybe(whole(1, 1e6)), 20_000, 'all connections at a time'),
  'limits.failuresPerAddress': setting(
    maybe(whole(1, 1e6)),
    20,
    'wrong tokens of one address in a quarter of an hour before it has to wait, longer each time',
  ),
  'history.size': setting(size(), 2 ** 30, 'what is kept of compacted updates, for repair; 0 keeps nothing'),
  'history.age': setting(span(), 400 * DAY, 'how long updates are kept for repair'),
  // A peer believes half a day long that a blob is here which nothing here names: WORD_MS in core/src/replication/unheld.ts.
  'retention.orphans': setting(
    maybe(span(DAY)),
    90 * DAY,
    'remove blobs that no run has named and nobody has asked for in this long; null never',
  ),
  'retention.aside': setting(
    maybe(span(DAY)),
    400 * DAY,
    'keep what was put aside for this long: documents of before a repair, damaged blobs; null for ever',
  ),
  'retention.audit': setting(
    maybe(span(DAY)),
    null,
    'remove full files of the audit log that are older; null keeps the last twelve',
  ),
  'discovery.announce': setting(flag(), false, 'let "fieldbook discover" on the same network find it', {
    flag: '--announce',
  }),
  'web.directory': setting(maybe(text()), null, 'the built web UI, when not the one of this build', {
    flag: '--web <directory>',
  }),
  'log.level': setting(choice(...LOG_LEVELS), 'info', 'how much to log', { flag: '--log-level <level>' }),
  'disk.reserve': setting(size(), 64 * 2 ** 20, 'refuse writes while less than this is free on the disk of the data'),
  'drain.delay': setting(span(), 0, 'say "not ready" for this long before connections are refused and closed'),
  'drain.timeout': setting(span(), 10_000, 'how long open requests may take to end once the relay was told to stop'),
  'metrics.port': setting(maybe(whole(0, 65_535)), null, 'serve Prometheus metrics on this port; null serves none'),
  'metrics.host': setting(text(), '127.0.0.1', 'what the port for metrics listens on'),
  'metrics.tokenFile': setting(maybe(text()), null, 'a file with the bearer token that metrics ask for'),
  'archive.keep': setting(
    maybe(span()),
    null,
    'keep every commit for this long, for restoring to a moment between backups',
  ),
} as const;

export type SettingKey = keyof typeof SETTINGS;

/** All settings with their values: `config['listen.port']` is a number. */
export type RelayConfig = {
  readonly [K in SettingKey]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never;
};

/** Settings that are right alone and wrong together: gives the key that is to blame and why, or null. */
export const CONFLICTS: readonly ((config: RelayConfig) => readonly [key: SettingKey, why: string] | null)[] = [
  (config) =>
    (config['tls.cert'] === null) === (config['tls.key'] === null)
      ? null
      : [config['tls.cert'] === null ? 'tls.cert' : 'tls.key', 'TLS needs both the certificate and its key'],
  (config) =>
    config['discovery.announce'] && isLoopback(config['listen.host'])
      ? ['discovery.announce', 'others do not reach a relay that listens on this machine only; set listen.host']
      : null,
  (config) =>
    config['metrics.port'] === null || isLoopback(config['metrics.host']) || config['metrics.tokenFile'] !== null
      ? null
      : ['metrics.host', 'metrics that others can reach need metrics.tokenFile'],
  (config) => {
    if (config['oidc.issuer'] === null) return null;
    for (const key of ['oidc.clientId', 'oidc.publicUrl'] as const)
      if (config[key] === null) return [key, 'signing in at oidc.issuer needs it'];
    if (!config['oidc.scopes'].includes('openid')) return ['oidc.scopes', 'openid must be among them'];
    const { pathname } = new URL(config['oidc.publicUrl']!);
    if (pathname !== '/') return ['oidc.publicUrl', 'a relay has a host name of its own, without a path behind it'];
    return config['oidc.allow'].length > 0 ? null : ['oidc.allow', 'without a rule nobody could sign in'];
  },
];

/** The variable of the environment that holds a setting. */
export function variableOf(key: string): string {
  return `FIELDBOOK_RELAY_${key
    .replaceAll(/[A-Z]/g, (letter) => `_${letter}`)
    .replaceAll('.', '_')
    .toUpperCase()}`;
}
