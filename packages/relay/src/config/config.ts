import { readFileSync } from 'node:fs';
import { FieldbookError } from '@fieldbook/core';
import type { RelayConfig, Setting, SettingKey } from './settings.ts';
import { CONFLICTS, SETTINGS, variableOf } from './settings.ts';

/** Where settings come from. */
export interface ConfigSources {
  /** A JSON file; none without. `FIELDBOOK_RELAY_CONFIG` names one too. */
  file?: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  /** By key; texts are as typed. Keys that were not given are absent. */
  flags?: Readonly<Partial<Record<SettingKey, string | readonly string[]>>>;
}

export interface LoadedConfig {
  config: RelayConfig;
  /** Where each value came from: `--port`, `FIELDBOOK_RELAY_LISTEN_PORT`, the file, or `default`. */
  origins: Readonly<Record<SettingKey, string>>;
  /** Variables that begin like ours and name no setting. Not an error: Kubernetes makes such ones for a service of our name. */
  unknownVariables: readonly string[];
}

const PREFIX = 'FIELDBOOK_RELAY_';
const FILE_VARIABLE = 'FIELDBOOK_RELAY_CONFIG';
const FILE_BYTES = 1024 * 1024;
const KEYS = Object.keys(SETTINGS) as SettingKey[];

/**
 * All settings, each from its strongest source: a flag, else the environment, else the file, else the default. Throws
 * `config_invalid` naming every wrong key and value with its place, one a line.
 */
export function loadConfig({ file, env, flags = {} }: ConfigSources): LoadedConfig {
  const problems: string[] = [];
  const path = file ?? (env[FILE_VARIABLE] || undefined);
  const written = path === undefined ? new Map<SettingKey, unknown>() : readSettings(path, problems);
  const values: Partial<Record<SettingKey, unknown>> = {};
  const origins: Partial<Record<SettingKey, string>> = {};
  for (const key of KEYS) {
    const { kind, default: standard } = SETTINGS[key] as Setting<unknown>;
    // Each source is judged, also one that a stronger one hides: it would come out on the day that one is taken away.
    const take = (origin: string, value: unknown): void => {
      try {
        values[key] = kind.parse(value);
        origins[key] = origin;
      } catch (error) {
        problems.push(`${key}: ${(error as Error).message} (${origin})`);
      }
    };
    values[key] = standard;
    origins[key] = 'default';
    if (written.has(key)) take(path!, written.get(key));
    const variable = env[variableOf(key)];
    if (variable !== undefined && variable !== '') take(variableOf(key), kind.fromText(variable));
    const given = flags[key];
    if (given !== undefined) {
      take(flagOf(key), typeof given === 'string' ? kind.fromText(given) : given.flatMap((one) => kind.fromText(one)));
    }
  }
  const config = values as RelayConfig;
  if (problems.length === 0) {
    for (const conflict of CONFLICTS) {
      const found = conflict(config);
      if (found !== null) problems.push(`${found[0]}: ${found[1]} (${origins[found[0]]})`);
    }
  }
  if (problems.length > 0) {
    throw new FieldbookError('config_invalid', `The configuration is not valid:\n  ${problems.join('\n  ')}`, {
      details: { problems },
    });
  }
  const known = new Set([FILE_VARIABLE, ...KEYS.map(variableOf)]);
  const unknownVariables = Object.keys(env).filter((name) => name.startsWith(PREFIX) && !known.has(name));
  return { config, origins: origins as Record<SettingKey, string>, unknownVariables };
}

/** The defaults, with some changed. */
export function configWith(changed: Partial<RelayConfig>): RelayConfig {
  const standard = Object.fromEntries(KEYS.map((key) => [key, SETTINGS[key].default]));
  return { ...standard, ...changed } as RelayConfig;
}

/** What may be shown of a setting, as JSON; `forPeople` with durations as one writes them. */
export function shownSetting(key: SettingKey, config: RelayConfig, { forPeople = false } = {}): string {
  const { secret, kind } = SETTINGS[key] as Setting<unknown>;
  const value: unknown = config[key];
  if (secret === true && value !== null && value !== '') return '(set)';
  return JSON.stringify(forPeople && kind.written !== undefined ? kind.written(value) : value);
}

function flagOf(key: SettingKey): string {
  return (SETTINGS[key] as Setting<unknown>).flag?.split(' ')[0] ?? key;
}

function readSettings(path: string, problems: string[]): Map<SettingKey, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new FieldbookError('config_invalid', `The configuration file ${path} cannot be read: ${String(error)}`, {
      cause: error,
    });
  }
  if (text.length > FILE_BYTES)
    throw new FieldbookError('config_invalid', `${path} has more than ${FILE_BYTES} bytes.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FieldbookError('config_invalid', `${path} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  const found = new Map<SettingKey, unknown>();
  collect(value, '', path, found, problems);
  return found;
}

/** Walks the objects of a file down to keys of settings. */
function collect(
  value: unknown,
  place: string,
  path: string,
  found: Map<SettingKey, unknown>,
  problems: string[],
): void {
  if (Object.hasOwn(SETTINGS, place)) {
    found.set(place as SettingKey, value);
    return;
  }
  const isGroup = place === '' || KEYS.some((key) => key.startsWith(`${place}.`));
  if (!isGroup) {
    problems.push(`${place}: there is no such setting${nearest(place)} (${path})`);
    return;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push(`${place === '' ? 'the whole file' : place}: it must be an object (${path})`);
    return;
  }
  for (const [name, inner] of Object.entries(value))
    collect(inner, place === '' ? name : `${place}.${name}`, path, found, problems);
}

/** `; did you mean "listen.port"?` when one key is close. */
function nearest(place: string): string {
  let best: string | undefined;
  let least = 3;
  for (const key of KEYS) {
    const distance = changesBetween(place.toLowerCase(), key.toLowerCase(), least);
    if (distance < least) [best, least] = [key, distance];
  }
  return best === undefined ? '' : `; did you mean ${JSON.stringify(best)}?`;
}

/** Levenshtein distance; `bound` when it is at least that. */
function changesBetween(one: string, other: string, bound: number): number {
  if (Math.abs(one.length - other.length) >= bound) return bound;
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (one[i - 1] === other[j - 1] ? 0 : 1));
    row = next;
  }
  return Math.min(bound, row[other.length]!);
}
