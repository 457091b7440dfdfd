import { BANDWIDTH_MIN, FieldbookError, parseProjectId } from '@fieldbook/core';
import type { FollowSettings } from '@fieldbook/core/api';
import type { Travel, TravelRule } from '@fieldbook/core/files';
import { readJsonIfThere, writeAtomically } from './files.ts';
import type { Home } from './home.ts';

/** A relay that is joined. */
export interface RelayConfig {
  url: string;
  paused?: boolean;
  /** Bytes per second in each direction. */
  limit?: number;
}

/** `config.json`: what a person decided. Tokens are kept apart, in a file that only the owner can read. */
export interface Config {
  /** The name that edits are made under. */
  person: string | null;
  /** More directories with journals, besides the home's own. */
  journals: readonly string[];
  /** Relays that this machine exchanges with. */
  relays: readonly RelayConfig[];
  /** What is taken of what others have. */
  follow: FollowSettings;
  /** When files travel that said nothing about it themselves; the first rule that fits holds. */
  files: readonly TravelRule[];
  /** Say on the local network that this agent is there. */
  announce: boolean;
  /** What is kept of compacted updates, for repair. */
  history: { maxBytes: number; maxAgeMs: number };
}

const HISTORY_MIB = 64;
const HISTORY_DAYS = 90;
const DAY_MS = 86_400_000;

export async function readConfig(home: Home): Promise<Config> {
  const value = (await readJsonIfThere(home.config)) ?? {};
  const at = (key: string, problem: string): FieldbookError =>
    new FieldbookError('config_invalid', `${home.config}: "${key}" ${problem}.`, { details: { key } });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw at('', 'must be an object');
  const {
    person = null,
    journals = [],
    relays = [],
    files = [],
    follow = {},
    history = {},
    announce = false,
  } = value as Record<string, unknown>;
  if (person !== null && typeof person !== 'string') throw at('person', 'must be a string');
  if (!Array.isArray(journals) || !journals.every((path) => typeof path === 'string')) {
    throw at('journals', 'must be a list of directories');
  }
  if (
    !Array.isArray(relays) ||
    !relays.every((relay) => typeof (relay as { url?: unknown } | null)?.url === 'string')
  ) {
    throw at('relays', 'must be a list of {"url": …}');
  }
  for (const { url, limit } of relays as RelayConfig[]) {
    if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= BANDWIDTH_MIN))
      throw at('relays', `has a "limit" of ${url} that is no number of bytes per second from ${BANDWIDTH_MIN} on`);
  }
  if (!Array.isArray(files)) throw at('files', 'must be a list of {"pattern", "over", "travel"}');
  const rules = files.map((rule: unknown, index) => readRule(rule, (problem) => at(`files[${index}]`, problem)));
  if (typeof announce !== 'boolean') throw at('announce', 'must be true or false');
  const { projects = 'all', runDocuments = 'all' } = (follow ?? {}) as Record<string, unknown>;
  if (projects !== 'all' && !isProjects(projects))
    throw at('follow.projects', 'must be "all" or a list of project ids');
  if (runDocuments !== 'all' && runDocuments !== 'on-demand')
    throw at('follow.runDocuments', 'must be "all" or "on-demand"');
  const { mib = HISTORY_MIB, days = HISTORY_DAYS } = (history ?? {}) as Record<string, unknown>;
  if (![mib, days].every((bound) => typeof bound === 'number' && Number.isFinite(bound) && bound >= 0))
    throw at('history', 'must be {"mib": …, "days": …}, both numbers that are not negative');
  const kept = { maxBytes: Number(mib) * 2 ** 20, maxAgeMs: Number(days) * DAY_MS };
  return {
    person,
    journals: journals as string[],
    relays: relays as Config['relays'],
    follow: { projects: projects as FollowSettings['projects'], runDocuments },
    files: rules,
    history: kept,
    announce,
  };
}

/** What `FIELDBOOK_ANNOUNCE` says; undefined when it says nothing. Throws `config_invalid`. */
export function announceFrom(env: Readonly<Record<string, string | undefined>>): boolean | undefined {
  const text = env['FIELDBOOK_ANNOUNCE'];
  if (text === undefined || text === '') return undefined;
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new FieldbookError(
    'config_invalid',
    `FIELDBOOK_ANNOUNCE must be true or false, not ${JSON.stringify(text.slice(0, 40))}.`,
    { details: { key: 'FIELDBOOK_ANNOUNCE' } },
  );
}

function isProjects(value: unknown): boolean {
  try {
    return Array.isArray(value) && value.every((id) => parseProjectId(String(id)) === id);
  } catch {
    return false;
  }
}

const TRAVELS: readonly Travel[] = ['now', 'request', 'never'];
/** A pattern is typed by a person; matching takes time in proportion to its length. */
const PATTERN_MAX = 512;

function readRule(rule: unknown, broken: (problem: string) => FieldbookError): TravelRule {
  if (typeof rule !== 'object' || rule === null) throw broken('must be {"pattern", "over", "travel"}');
  const { pattern, over = 0, travel } = rule as Record<string, unknown>;
  if (typeof pattern !== 'string' || pattern === '' || pattern.length > PATTERN_MAX)
    throw broken('needs a "pattern", a glob on attribute paths such as "checkpoints/**"');
  if (typeof over !== 'number' || !Number.isFinite(over) || over < 0)
    throw broken('has an "over" that is no number of bytes');
  const known = TRAVELS.find((one) => one === travel);
  if (known === undefined) throw broken('has a "travel" that is none of "now", "request", "never"');
  return { pattern, over, travel: known };
}

/** Changes some of the configuration; what this version does not know stays in the file. */
export async function changeConfig(home: Home, change: Partial<Config>): Promise<void> {
  const before = ((await readJsonIfThere(home.config)) ?? {}) as Record<string, unknown>;
  await writeAtomically(home.config, `${JSON.stringify({ ...before, ...change }, null, 2)}\n`, 0o644);
}

/** Relay tokens by URL. */
export async function readRelayTokens(home: Home): Promise<Record<string, string>> {
  return ((await readJsonIfThere(home.relayTokens)) ?? {}) as Record<string, string>;
}

/** Throws when no token could be kept, before one is asked for that is given once. */
export async function checkRelayTokens(home: Home): Promise<void> {
  await writeRelayTokens(home, await readRelayTokens(home));
}

/** Keeps a relay's token, or forgets it when null. */
export async function keepRelayToken(home: Home, url: string, token: string | null): Promise<void> {
  const { [url]: _before, ...others } = await readRelayTokens(home);
  const tokens = token === null ? others : { ...others, [url]: token };
  await writeRelayTokens(home, tokens);
}

async function writeRelayTokens(home: Home, tokens: Readonly<Record<string, string>>): Promise<void> {
  await writeAtomically(home.relayTokens, `${JSON.stringify(tokens, null, 2)}\n`, 0o600);
}
