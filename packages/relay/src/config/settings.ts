import { homedir } from 'node:os';
import { join } from 'node:path';
import { LOG_LEVELS } from '../platform/ports.ts';
import type { Kind } from './kinds.ts';
import { choice, listOf, maybe, text, whole } from './kinds.ts';

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
  'web.directory': setting(maybe(text()), null, 'the built web UI, when not the one of this build', {
    flag: '--web <directory>',
  }),
  'log.level': setting(choice(...LOG_LEVELS), 'info', 'how much to log', { flag: '--log-level <level>' }),
} as const;

export type SettingKey = keyof typeof SETTINGS;

/** All settings with their values: `config['listen.port']` is a number. */
export type RelayConfig = {
  readonly [K in SettingKey]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never;
};

/** Settings that are right alone and wrong together: gives the key that is to blame and why, or null. */
export const CONFLICTS: readonly ((config: RelayConfig) => readonly [key: SettingKey, why: string] | null)[] = [];

/** The variable of the environment that holds a setting. */
export function variableOf(key: string): string {
  return `FIELDBOOK_RELAY_${key
    .replaceAll(/[A-Z]/g, (letter) => `_${letter}`)
    .replaceAll('.', '_')
    .toUpperCase()}`;
}
