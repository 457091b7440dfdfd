import { readdir, readFile, readlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import { listen } from './server.ts';

export const DEFAULT_PORT = 4270;
/** How many ports after the default one are tried. */
const TRIES = 20;

/**
 * Listens on the port asked for, or the default one, or the first free one after that; says who has the default one.
 * A port that was asked for is never exchanged for another. Throws `port_in_use`.
 */
export async function listenSomewhere(
  server: Server,
  host: string,
  asked: number | undefined,
): Promise<{ port: number; insteadOf: { port: number; holder: string | null } | null }> {
  if (asked !== undefined) {
    try {
      return { port: await listen(server, asked, host), insteadOf: null };
    } catch (error) {
      const holder = isFieldbookError(error, 'port_in_use') ? await holderOf(asked) : null;
      if (holder === null) throw error;
      throw new FieldbookError('port_in_use', `Port ${asked} is taken by ${holder}.`, {
        details: { port: asked, holder },
        cause: error,
      });
    }
  }
  for (let offset = 0; ; offset++) {
    try {
      const port = await listen(server, DEFAULT_PORT + offset, host);
      if (offset === 0) return { port, insteadOf: null };
      return { port, insteadOf: { port: DEFAULT_PORT, holder: await holderOf(DEFAULT_PORT) } };
    } catch (error) {
      if (!isFieldbookError(error, 'port_in_use') || offset >= TRIES) throw error;
    }
  }
}

/** Name and pid of the process that listens on a port, where Linux lets us see it; else null. */
export async function holderOf(port: number): Promise<string | null> {
  try {
    const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const tables = await Promise.all(
      ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8').catch(() => '')),
    );
    const inodes = new Set<string>();
    for (const line of tables.join('\n').split('\n')) {
      const columns = line.trim().split(/\s+/);
      // State 0A is LISTEN.
      if (columns[1]?.endsWith(hex) === true && columns[3] === '0A' && columns[9] !== undefined)
        inodes.add(`socket:[${columns[9]}]`);
    }
    if (inodes.size === 0) return null;
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      if (await holdsAny(pid, inodes)) return `${(await readFile(`/proc/${pid}/comm`, 'utf8')).trim()} (pid ${pid})`;
    }
    return null;
  } catch {
    return null; // only Linux has /proc; elsewhere the port is just taken
  }
}

async function holdsAny(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const descriptor of descriptors) {
    if (inodes.has(await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => ''))) return true;
  }
  return false;
}
