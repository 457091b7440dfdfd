import type { DeviceId } from '@fieldbook/core';
import { parseDeviceId } from '@fieldbook/core';
import { readIfThere, replaceLater, writeAtomically } from './platform/files.ts';

interface Use {
  /** ms since the epoch; 0 when it was never used. */
  used: number;
  devices: Set<DeviceId>;
}

/** How often what tokens were used for is written down. */
const WRITE_MS = 60_000;
/** Devices of one person; beyond them a token is everybody's, and nobody's runs are its own. */
const DEVICES_MAX = 64;

/**
 * What became of each token: when it was last used, to the minute, and which devices have proved themselves with it. Kept in
 * one file beside the tokens, which the server alone writes. Uses are not fsynced, and a power cut costs the last minutes of
 * them; devices are, since a contributor's runs are its own through them.
 */
export class TokenUse {
  readonly #path: string;
  readonly #uses: Map<string, Use>;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, uses: Map<string, Use>) {
    this.#path = path;
    this.#uses = uses;
  }

  /** A file that cannot be read counts as none: devices prove themselves again when they next connect. */
  static async open(path: string): Promise<TokenUse> {
    return new TokenUse(path, read(await readIfThere(path).catch(() => undefined)));
  }

  /** ms since the epoch, or undefined when it was never used. */
  lastUsed(id: string): number | undefined {
    return this.#uses.get(id)?.used || undefined;
  }

  /** The devices of a token: a set that grows as they prove themselves. */
  devices(id: string): ReadonlySet<DeviceId> {
    return this.#of(id).devices;
  }

  note(id: string, now: number): void {
    this.#of(id).used = now;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write(replaceLater);
    }, WRITE_MS).unref();
  }

  /** A device has proved itself with a token; false when the token has too many. */
  bind(id: string, device: DeviceId): boolean {
    const { devices } = this.#of(id);
    if (devices.has(device)) return true;
    if (devices.size >= DEVICES_MAX) return false;
    devices.add(device);
    this.#write(writeAtomically);
    return true;
  }

  /** Forgets a token that is gone. */
  forget(id: string): void {
    this.#uses.delete(id);
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#write(replaceLater);
    }
    await this.#writing;
  }

  #of(id: string): Use {
    const use = this.#uses.get(id) ?? { used: 0, devices: new Set() };
    this.#uses.set(id, use);
    return use;
  }

  #write(replace: (path: string, text: string) => Promise<void>): void {
    this.#writing = this.#writing
      .then(() => {
        const uses = [...this.#uses].map(([id, { used, devices }]) => [id, { used, devices: [...devices] }]);
        return replace(this.#path, `${JSON.stringify(Object.fromEntries(uses))}\n`);
      })
      // A full disk must not end the server for this.
      .catch(() => undefined);
  }
}

function read(text: string | undefined): Map<string, Use> {
  const uses = new Map<string, Use>();
  try {
    const value = JSON.parse(text ?? '{}') as Record<string, { used?: unknown; devices?: unknown }>;
    for (const [id, { used, devices }] of Object.entries(value)) {
      const known = Array.isArray(devices) ? devices.map((device) => parseDeviceId(String(device))) : [];
      uses.set(id, { used: typeof used === 'number' ? used : 0, devices: new Set(known) });
    }
  } catch {
    // Broken: what was read so far is all there is.
  }
  return uses;
}
