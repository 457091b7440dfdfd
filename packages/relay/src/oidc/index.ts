import { readFileSync } from 'node:fs';
import type { Log } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';
import type { RelayConfig } from '../config/index.ts';
import { Provider } from './provider.ts';
import type { SignInOptions } from './sign-in.ts';
import { CALLBACK_PATH, SignIn } from './sign-in.ts';

export { CALLBACK_PATH, SIGN_IN_PATH } from './sign-in.ts';
export type { SignIn } from './sign-in.ts';

type Parts = Omit<SignInOptions, 'provider' | 'rules' | 'publicUrl' | 'lifetime'>;

/** The provider that the settings name, or undefined. Throws `config_invalid` for a secret that cannot be read. */
export function providerOf(config: RelayConfig, log: Log, now: () => number): Provider | undefined {
  const { 'oidc.issuer': issuer, 'oidc.clientId': clientId, 'oidc.clientSecretFile': file } = config;
  if (issuer === null) return undefined;
  return new Provider({
    issuer,
    clientId: clientId!,
    clientSecret: file === null ? null : readSecret(file),
    redirectUri: `${publicUrlOf(config)}${CALLBACK_PATH}`,
    scopes: config['oidc.scopes'],
    groupsClaim: config['oidc.groupsClaim'],
    asksGroups: config['oidc.allow'].some(({ by }) => by === 'group'),
    log,
    now,
  });
}

/** Signing in at a provider, by the rules of the settings. */
export function signInAt(provider: Provider, config: RelayConfig, parts: Parts): SignIn {
  const { 'oidc.allow': rules, 'oidc.sessionLifetime': lifetime } = config;
  return new SignIn({ ...parts, provider, rules, publicUrl: publicUrlOf(config), lifetime });
}

function publicUrlOf(config: RelayConfig): string {
  return config['oidc.publicUrl']!.replace(/\/+$/, '');
}

function readSecret(path: string): string {
  let secret: string;
  try {
    secret = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new FieldbookError('config_invalid', `oidc.clientSecretFile: ${path} cannot be read: ${String(error)}`, {
      cause: error,
    });
  }
  if (secret === '' || secret.length > 4_096)
    throw new FieldbookError('config_invalid', `oidc.clientSecretFile: ${path} holds no secret.`);
  return secret;
}
