import type { RelayConfig } from '../config/index.ts';

const LIMITS = {
  'requests-per-address': 'limits.requestsPerAddress',
  'requests-per-token': 'limits.requestsPerToken',
  'upgrades-per-address': 'limits.upgradesPerAddress',
  'bytes-per-connection': 'limits.bytesPerConnection',
  'bytes-per-token': 'limits.bytesPerToken',
  'bytes-under-way': 'limits.bytesUnderWay',
  'bytes-under-way-per-token': 'limits.bytesUnderWayPerToken',
  'connections-per-address': 'limits.connectionsPerAddress',
  'connections-per-token': 'limits.connectionsPerToken',
  connections: 'limits.connections',
  'failures-per-address': 'limits.failuresPerAddress',
} as const;

/** As metrics, the log and refusals name them. */
export type LimitName = keyof typeof LIMITS;
/** What one address, one token, one connection may ask; `Infinity` for no limit. Rates are per second. */
export type RelayLimits = Readonly<Record<LimitName, number>>;

/** The limits that the settings say. */
export function limitsOf(config: RelayConfig): RelayLimits {
  const named = Object.entries(LIMITS) as [LimitName, (typeof LIMITS)[LimitName]][];
  return Object.fromEntries(
    named.map(([name, key]) => [name, config[key] ?? Number.POSITIVE_INFINITY]),
  ) as unknown as RelayLimits;
}
