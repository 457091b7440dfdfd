export { configWith, loadConfig, shownSetting } from './config.ts';
export type { ConfigSources, LoadedConfig } from './config.ts';
export { SETTINGS, variableOf } from './settings.ts';
export type { RelayConfig, Setting, SettingKey } from './settings.ts';
