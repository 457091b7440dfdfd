import { readIfThere, replaceLater } from './platform/files.ts';

/** How often what tokens were used for is written down. */
const WRITE_MS = 60_000;

/**
 * When each token was last used, to the minute: kept in one file beside the tokens, which the server alone writes, and not
 * fsynced. A power cut costs the last minutes of it and nothing else.
 */
export class TokenUse {
  readonly #path: string;
  readonly #used: Map<string, number>;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, used: Map<string, number>) {
    this.#path = path;
    this.#used = used;
  }

  /** A file that cannot be read counts as none: nothing depends on it. */
  static async open(path: string): Promise<TokenUse> {
    return new TokenUse(path, read(await readIfThere(path).catch(() => undefined)));
  }

  /** ms since the epoch, or undefined when it was never used. */
  lastUsed(id: string): number | undefined {
    return this.#used.get(id);
  }

  note(id: string, now: number): void {
    this.#used.set(id, now);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write();
    }, WRITE_MS).unref();
  }

  /** Forgets a token that is gone. */
  forget(id: string): void {
    this.#used.delete(id);
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#write();
    }
    await this.#writing;
  }

  #write(): void {
    this.#writing = this.#writing
      .then(() => replaceLater(this.#path, `${JSON.stringify(Object.fromEntries(this.#used))}\n`))
      // A full disk must not end the server for this.
      .catch(() => undefined);
  }
}

function read(text: string | undefined): Map<string, number> {
  try {
    const value = JSON.parse(text ?? '{}') as Record<string, unknown>;
    return new Map(Object.entries(value).filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
  } catch {
    return new Map();
  }
}
