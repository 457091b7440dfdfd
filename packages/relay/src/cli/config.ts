import type { Command } from 'commander';
import { Option } from 'commander';
import type { LoadedConfig, Setting, SettingKey } from '../config/index.ts';
import { loadConfig, SETTINGS, shownSetting, variableOf } from '../config/index.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** What commander gives for the flags of `withSettings`. */
export type SettingFlags = Readonly<Record<string, string | string[] | true | undefined>>;

const KEYS = Object.keys(SETTINGS) as SettingKey[];

/** Gives a command `--config` and the flag of every setting that has one, or of `keys` only. */
export function withSettings(command: Command, keys: readonly SettingKey[] = KEYS): Command {
  command.addOption(new Option('--config <file>', 'a JSON file of settings (FIELDBOOK_RELAY_CONFIG)'));
  for (const key of keys) {
    const { flag, about } = SETTINGS[key] as Setting<unknown>;
    if (flag !== undefined) command.addOption(new Option(flag, `${about} (${variableOf(key)})`));
  }
  return command;
}

/** The settings that a command runs with. Throws `config_invalid`. */
export function configOf(options: SettingFlags, env: Env): LoadedConfig {
  const flags: Partial<Record<SettingKey, string | string[]>> = {};
  for (const key of KEYS) {
    const { flag } = SETTINGS[key] as Setting<unknown>;
    const given = flag === undefined ? undefined : options[new Option(flag).attributeName()];
    // A flag without a value is given or not.
    if (given !== undefined) flags[key] = given === true ? 'true' : given;
  }
  const { config: file } = options;
  return loadConfig({ env, flags, ...(typeof file === 'string' ? { file } : {}) });
}

/** Prints every setting with its value and where that came from, or throws `config_invalid` with all that is wrong. */
export function checkConfig(options: SettingFlags & { json?: string }, env: Env): void {
  const { config, origins, unknownVariables } = configOf(options, env);
  if (options.json !== undefined) {
    const shown = KEYS.map((key) => [key, { value: shownSetting(key, config), from: origins[key] }]);
    process.stdout.write(`${JSON.stringify(Object.fromEntries(shown), null, 2)}\n`);
    return;
  }
  const width = Math.max(...KEYS.map((key) => key.length));
  for (const key of KEYS)
    process.stdout.write(
      `${key.padEnd(width)}  ${shownSetting(key, config, { forPeople: true })}  (${origins[key]})\n`,
    );
  for (const name of unknownVariables) process.stderr.write(`${name} names no setting and is ignored.\n`);
}
