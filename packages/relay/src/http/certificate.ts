import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Log } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';

export interface CertificateFiles {
  /** PEM: the certificate and those between it and its authority. */
  cert: string;
  /** PEM: its private key. */
  key: string;
}

interface Pair {
  cert: Buffer;
  key: Buffer;
}

/** Renewals are noticed so soon. Certificates are renewed days before they end. */
const POLL_MS = 60_000;

/** A certificate that lies in files, which somebody else renews while the relay runs. */
export class Certificate {
  readonly #files: CertificateFiles;
  readonly #log: Log;
  #pair: Pair;
  #polling: NodeJS.Timeout | undefined;
  #renewed: ((pair: Pair) => void) | undefined;

  private constructor(files: CertificateFiles, pair: Pair, log: Log) {
    this.#files = files;
    this.#pair = pair;
    this.#log = log;
  }

  /** Throws `config_invalid` when the files are not there, or not a certificate and its key. */
  static async open(files: CertificateFiles, log: Log): Promise<Certificate> {
    return new Certificate(files, await readPair(files), log);
  }

  get pair(): Readonly<Pair> {
    return this.#pair;
  }

  /** Calls `renewed` whenever the files hold another pair that fits together. */
  watch(renewed: (pair: Readonly<Pair>) => void): void {
    this.#renewed = renewed;
    this.#polling ??= setInterval(() => void this.reload(), POLL_MS).unref();
  }

  /**
   * Reads the files now. Never rejects: while they are unreadable, or one of them was replaced and the other not yet, the
   * certificate before stays in force and the log says so.
   */
  async reload(): Promise<void> {
    try {
      const pair = await readPair(this.#files);
      if (pair.cert.equals(this.#pair.cert) && pair.key.equals(this.#pair.key)) return;
      this.#pair = pair;
      this.#renewed?.(pair);
      this.#log.info('tls.renewed', { cert: this.#files.cert });
    } catch (error) {
      this.#log.warn('tls.unreadable', { error: error instanceof Error ? error.message : String(error) });
    }
  }

  close(): void {
    clearInterval(this.#polling);
  }
}

async function readPair(files: CertificateFiles): Promise<Pair> {
  try {
    const [cert, key] = await Promise.all([readFile(files.cert), readFile(files.key)]);
    // Also that they belong together.
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FieldbookError(
      'config_invalid',
      `${files.cert} and ${files.key} are not a certificate and its key in PEM: ${why}`,
      { cause: error },
    );
  }
}
