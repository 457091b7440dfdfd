import { isIP } from 'node:net';

/** What a setting may hold: a value of a file (JSON), or a text of a flag or the environment, becomes `T`. */
export interface Kind<T> {
  /** In words, for messages and `config check`: "a number from 0 to 65535". */
  readonly about: string;
  /** Throws an `Error` whose message goes behind "listen.port: ". */
  parse(value: unknown): T;
  /** What a text of a flag or of the environment stands for; `parse` then judges it. */
  fromText(text: string): unknown;
  /** A value as a person writes it in a file, where that is not the JSON of it; `parse` takes it back. */
  written?(value: T): unknown;
}

const asIs = (text: string): unknown => text;

function kind<T>(about: string, take: (value: unknown) => T | undefined, fromText = asIs): Kind<T> {
  return {
    about,
    fromText,
    parse: (value) => {
      const taken = take(value);
      if (taken === undefined) throw new Error(`it must be ${about}, not ${shown(value)}`);
      return taken;
    },
  };
}

/** A text that is not empty. */
export const text = (): Kind<string> =>
  kind('a text', (value) => (typeof value === 'string' && value !== '' && value.length <= 4096 ? value : undefined));

/** The address of something that is asked over TLS, or on this machine. */
export const webAddress = (): Kind<string> =>
  kind('an https address (http on this machine only)', (value) =>
    typeof value === 'string' && value.length <= 2048 && isWebAddress(value) ? value : undefined,
  );

/** An IP address, or a range of them. */
export const addresses = (): Kind<string> =>
  kind('an address or a range like "10.0.0.0/8"', (value) =>
    typeof value === 'string' && isRange(value) ? value : undefined,
  );

/** One of a few words. */
export const choice = <T extends string>(...words: readonly T[]): Kind<T> =>
  kind(words.map((word) => JSON.stringify(word)).join(' or '), (value) => words.find((word) => word === value));

/** `true` or `false`. */
export const flag = (): Kind<boolean> =>
  kind(
    'true or false',
    (value) => (typeof value === 'boolean' ? value : undefined),
    (given) => (given === 'true' || given === '1' ? true : given === 'false' || given === '0' ? false : given),
  );

/** A whole number within bounds, both included. */
export const whole = (least: number, most: number): Kind<number> =>
  kind(
    `a whole number from ${least} to ${most}`,
    (value) =>
      Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most ? Number(value) : undefined,
    (given) => (/^-?\d{1,16}$/.test(given) ? Number(given) : given),
  );

const SIZES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Bytes: a number, or a text like "64 MiB". */
export const size = (least = 0): Kind<number> =>
  kind(`a size like "64 MiB" or a number of bytes${least === 0 ? '' : `, of ${least} at least`}`, (value) => {
    const bytes = scaled(value, SIZES);
    return bytes === undefined || bytes < least ? undefined : bytes;
  });

const SPANS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, min: 6e4, h: 36e5, d: 864e5 };

/** A duration in ms, written as a text like "30 s", "5 min", "12 h" or "90 d". */
export const span = (least = 0): Kind<number> => ({
  ...kind(
    `a duration like "30 s", "5 min", "12 h" or "90 d"${least === 0 ? '' : `, of ${least / 36e5} h at least`}`,
    (value) => {
      const ms = typeof value === 'number' ? undefined : scaled(value, SPANS);
      return ms === undefined || ms < least ? undefined : ms;
    },
  ),
  written: (ms) => {
    // The largest unit of which it is a whole number; 0 is of seconds.
    const [unit, each] = Object.entries(SPANS).findLast(([name, one]) => ms % one === 0 && (ms > 0 || name === 's'))!;
    return `${ms / each} ${unit}`;
  },
});

/** A list; in a flag or the environment with commas between. Names the entry that is wrong. */
export const listOf = <T>(each: Kind<T>): Kind<readonly T[]> => ({
  about: `a list, each ${each.about}`,
  fromText: (given) =>
    given
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .map((part) => each.fromText(part)),
  parse: (value) => {
    if (!Array.isArray(value)) throw new Error(`it must be a list, not ${shown(value)}`);
    return value.map((one, index) => {
      try {
        return each.parse(one);
      } catch (error) {
        throw new Error(`entry ${index + 1}: ${(error as Error).message}`, { cause: error });
      }
    });
  },
});

/** Anything of a kind, or nothing: `null` in a file, an empty text elsewhere. */
export const maybe = <T>(inner: Kind<T>): Kind<T | null> => ({
  written: (value) => (value === null || inner.written === undefined ? value : inner.written(value)),
  about: `${inner.about}, or null`,
  fromText: (given) => (given === '' ? null : inner.fromText(given)),
  parse: (value) => (value === null ? null : inner.parse(value)),
});

function scaled(value: unknown, units: Readonly<Record<string, number>>): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([a-z]{0,3})$/i.exec(value.trim());
  const unit = match === null ? undefined : units[match[2]!.toLowerCase()];
  const found = unit === undefined ? Number.NaN : Math.round(Number(match![1]) * unit);
  return Number.isSafeInteger(found) ? found : undefined;
}

function shown(value: unknown): string {
  const json = value === undefined ? 'nothing' : JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 57)}…` : json;
}

function isWebAddress(given: string): boolean {
  if (!URL.canParse(given)) return false;
  const { protocol, hostname, username, password, search, hash } = new URL(given);
  if (`${username}${password}${search}${hash}` !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replace(/^\[(.*)\]$/, '$1')));
}

/** Whether only this machine can reach a host. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Whether a text is an IP address or a range of them in CIDR notation. */
export function isRange(given: string): boolean {
  const [address = '', length, ...rest] = given.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= (family === 6 ? 128 : 32));
}
