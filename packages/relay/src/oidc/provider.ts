import { createHash } from 'node:crypto';
import type { Log } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';
import type * as OpenidClient from 'openid-client';
import type { ClientAuth, Configuration, CustomFetchOptions } from 'openid-client';
import type { Attempt } from './attempts.ts';
import type { Identity } from './rules.ts';

export interface ProviderOptions {
  issuer: string;
  clientId: string;
  /** Null for a public client. */
  clientSecret: string | null;
  redirectUri: string;
  scopes: readonly string[];
  /** The claim that lists groups; dots lead into objects where there is no claim of the whole name. */
  groupsClaim: string;
  /** Whether rules ask for groups. */
  asksGroups: boolean;
  log: Log;
  now: () => number;
}

type Library = typeof OpenidClient;
type Claims = Readonly<Record<string, unknown>>;

/** What a provider sends is small; keys of a large one are some dozen kilobytes. */
const ANSWER_BYTES = 1024 * 1024;
const ANSWER_S = 10;
/** Providers move their endpoints rarely; keys are looked up again by themselves when an unknown one signs. */
const BELIEVED_MS = 60 * 60_000;
/** Whoever waits for a provider that is down does not ask it again at once. */
const DOWN_MS = 1_000;
/** How far the clocks of provider and relay may be apart. */
const SKEW_S = 60;
const GROUPS_MAX = 10_000;

/**
 * An OpenID Connect provider: where people log in, and what it says of them. The library that speaks with it is loaded when
 * somebody first signs in.
 */
export class Provider {
  readonly #options: ProviderOptions;
  #known: { library: Library; configuration: Configuration; at: number } | undefined;
  #asking: Promise<void> | undefined;
  #down: { until: number; error: FieldbookError } | undefined;

  constructor(options: ProviderOptions) {
    this.#options = options;
  }

  /** Where to send a browser. Throws `peer_unreachable`. */
  async address({ state, nonce, verifier }: Attempt): Promise<string> {
    const { library, configuration } = await this.#ready();
    return library.buildAuthorizationUrl(configuration, {
      redirect_uri: this.#options.redirectUri,
      scope: this.#options.scopes.join(' '),
      state,
      nonce,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    }).href;
  }

  /**
   * Who came back with `query`. Throws `peer_unreachable`, and `unauthorized` for what the provider refuses or what does not
   * stand up: state, nonce, signature, issuer, audience, time.
   */
  async identify(query: string, { state, nonce, verifier }: Attempt): Promise<Identity> {
    const { library, configuration } = await this.#ready();
    const back = new URL(this.#options.redirectUri);
    back.search = query;
    try {
      const tokens = await library.authorizationCodeGrant(configuration, back, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
      });
      const claims = tokens.claims()!;
      const needsMore = emailOf(claims) === null || (this.#options.asksGroups && this.#groups(claims) === undefined);
      const more: Claims =
        needsMore && configuration.serverMetadata().userinfo_endpoint !== undefined
          ? await library.fetchUserInfo(configuration, tokens.access_token, claims.sub)
          : {};
      return {
        issuer: claims.iss,
        subject: claims.sub,
        // Address and verification of one source: of two they might be of two addresses.
        email: emailOf(claims) ?? emailOf(more),
        name: nameOf(claims) ?? nameOf(more),
        groups: this.#groups(claims) ?? this.#groups(more) ?? [],
      };
    } catch (error) {
      throw this.#explained(error, library);
    }
  }

  async #ready(): Promise<{ library: Library; configuration: Configuration }> {
    const { now } = this.#options;
    if (this.#known === undefined || now() - this.#known.at >= BELIEVED_MS) {
      if (this.#down !== undefined && this.#down.until > now() && this.#known === undefined) throw this.#down.error;
      this.#asking ??= this.#discover().finally(() => {
        this.#asking = undefined;
      });
      // What was known an hour ago is better than nothing.
      await this.#asking.catch((error: unknown) => {
        if (this.#known === undefined) throw error;
      });
    }
    return this.#known!;
  }

  async #discover(): Promise<void> {
    const { issuer, clientId, clientSecret, log, now } = this.#options;
    const library = await import('openid-client');
    const address = new URL(issuer);
    // Signatures are checked also where TLS to the provider would do.
    const execute = [library.enableNonRepudiationChecks];
    if (address.protocol === 'http:') execute.push(library.allowInsecureRequests);
    try {
      const configuration = await library.discovery(
        address,
        clientId,
        { [library.clockTolerance]: SKEW_S },
        clientSecret === null ? library.None() : authenticated(library, clientSecret),
        { execute, timeout: ANSWER_S, [library.customFetch]: boundedFetch },
      );
      configuration.timeout = ANSWER_S;
      this.#known = { library, configuration, at: now() };
      this.#down = undefined;
    } catch (error) {
      const explained = this.#explained(error, library);
      const down =
        explained.code === 'peer_unreachable'
          ? explained
          : new FieldbookError('peer_unreachable', `${explained.message} (oidc.issuer)`, { cause: error });
      log.warn('oidc.unreachable', { issuer, error: down.message });
      this.#down = { until: now() + DOWN_MS, error: down };
      throw down;
    }
  }

  /** In words that hold no secret: a library's messages do not repeat what came. */
  #explained(error: unknown, library: Library): FieldbookError {
    const { host } = new URL(this.#options.issuer);
    for (let each = error; each instanceof Error; each = each.cause) {
      if (each instanceof FieldbookError)
        return new FieldbookError(each.code, `${host}: ${each.message}`, { cause: error });
      if (each.name === 'TimeoutError' || (each as { code?: unknown }).code === 'OAUTH_TIMEOUT')
        return new FieldbookError('peer_unreachable', `${host} does not answer.`, { cause: error });
      if (each instanceof library.AuthorizationResponseError || each instanceof library.ResponseBodyError) {
        const said = plain(each.error_description ?? each.error);
        return new FieldbookError('unauthorized', `${host} says: ${said}`, {
          cause: error,
          details: { provider: plain(each.error) },
        });
      }
    }
    const message = innermost(error);
    return new FieldbookError('unauthorized', `What ${host} said does not stand up: ${plain(message)}.`, {
      cause: error,
    });
  }

  #groups(claims: Claims): string[] | undefined {
    const { groupsClaim } = this.#options;
    let value: unknown = Object.hasOwn(claims, groupsClaim) ? claims[groupsClaim] : undefined;
    if (value === undefined && groupsClaim.includes('.')) {
      value = claims;
      for (const part of groupsClaim.split('.'))
        value =
          typeof value === 'object' && value !== null && Object.hasOwn(value, part)
            ? (value as Claims)[part]
            : undefined;
    }
    if (typeof value === 'string') return [value];
    if (!Array.isArray(value)) return undefined;
    return value.slice(0, GROUPS_MAX).filter((each) => typeof each === 'string');
  }
}

/** By what the provider says that it takes; in the body where it takes both, since not all decode the header alike. */
function authenticated(library: Library, secret: string): ClientAuth {
  const [post, basic] = [library.ClientSecretPost(secret), library.ClientSecretBasic(secret)];
  return (server, ...rest) =>
    (server.token_endpoint_auth_methods_supported?.includes('client_secret_post') === true ? post : basic)(
      server,
      ...rest,
    );
}

/** Which check failed, said by the library: the outer errors say only that one did. */
function innermost(error: unknown): string {
  let message = 'no reason';
  for (let each = error; each instanceof Error; each = each.cause) message = each.message;
  return message;
}

/** `fetch` whose answers are bounded, and that says in one way that nobody answers. */
async function boundedFetch(url: string, options: CustomFetchOptions): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, options as RequestInit);
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') throw new FieldbookError('peer_unreachable', 'it does not answer.');
    const { cause } = error as { cause?: { code?: string } };
    throw new FieldbookError('peer_unreachable', `it cannot be reached${cause?.code ? ` (${cause.code})` : ''}.`, {
      cause: error,
    });
  }
  if (response.status >= 500) {
    await response.body?.cancel();
    throw new FieldbookError('peer_unreachable', `it answers ${response.status}.`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > ANSWER_BYTES)
        throw new FieldbookError('peer_unreachable', `it answers with more than ${ANSWER_BYTES} bytes.`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof FieldbookError) throw error;
    throw new FieldbookError('peer_unreachable', 'it breaks off within an answer.', { cause: error });
  }
  const body = size === 0 ? null : Buffer.concat(chunks);
  return new Response(body, { status: response.status, headers: response.headers });
}

function emailOf(claims: Claims): string | null {
  const { email, email_verified: verified } = claims;
  const isVerified = verified === true || verified === 'true';
  return isVerified && typeof email === 'string' && /^[^\s@]+@[^\s@]+$/.test(email) && email.length <= 320
    ? email
    : null;
}

function nameOf(claims: Claims): string | null {
  const found = [claims['name'], claims['preferred_username']].find((each) => typeof each === 'string' && each !== '');
  return found === undefined ? null : plain(found as string).slice(0, 128);
}

/** One line of bounded length. */
function plain(text: string): string {
  return text
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .trim()
    .slice(0, 200);
}
