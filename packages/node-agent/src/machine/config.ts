import { FieldbookError } from '@fieldbook/core';
import { readJsonIfThere, writeAtomically } from './files.ts';
import type { Home } from './home.ts';

/** `config.json`: what a person decided. Tokens are kept apart, in a file that only the owner can read. */
export interface Config {
  /** The name that edits are made under. */
  person: string | null;
  /** More directories with journals, besides the home's own. */
  journals: readonly string[];
  /** Relays that this machine exchanges with. */
  relays: readonly { url: string }[];
}

export async function readConfig(home: Home): Promise<Config> {
  const value = (await readJsonIfThere(home.config)) ?? {};
  const at = (key: string, problem: string): FieldbookError =>
    new FieldbookError('config_invalid', `${home.config}: "${key}" ${problem}.`, { details: { key } });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw at('', 'must be an object');
  const { person = null, journals = [], relays = [] } = value as Record<string, unknown>;
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
  return { person, journals: journals as string[], relays: relays as { url: string }[] };
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

/** Keeps a relay's token, or forgets it when null. */
export async function keepRelayToken(home: Home, url: string, token: string | null): Promise<void> {
  const { [url]: _before, ...others } = await readRelayTokens(home);
  const tokens = token === null ? others : { ...others, [url]: token };
  await writeAtomically(home.relayTokens, `${JSON.stringify(tokens, null, 2)}\n`, 0o600);
}
