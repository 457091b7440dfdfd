import { randomBytes } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import { isFieldbookError } from '@fieldbook/core';
import { createAtomically, readIfThere, readJsonIfThere, writeAtomically } from '../machine/files.ts';
import type { Home } from '../machine/home.ts';

/** `agent.json`: who runs this home's agent and where. */
export interface Presence {
  pid: number;
  port: number;
  url: string;
  /** What it listens on; absent from agents of before. */
  host?: string;
  version: string;
  /** ms since the epoch. */
  started: number;
}

export async function announce(home: Home, presence: Presence): Promise<void> {
  await writeAtomically(home.agent, `${JSON.stringify(presence, null, 2)}\n`, 0o600);
}

/** Takes the announcement back, unless it is somebody else's by now. */
export async function withdraw(home: Home, pid: number): Promise<void> {
  const presence = await readPresence(home).catch(() => undefined);
  if (presence?.pid === pid) await unlink(home.agent).catch(() => undefined);
}

/** What was announced; says nothing about whether it is still true. A damaged announcement is none: an agent that runs has the store, which says so. */
export async function readPresence(home: Home): Promise<Presence | undefined> {
  const value = (await readJsonIfThere(home.agent).catch((error: unknown) => {
    if (isFieldbookError(error, 'config_invalid')) return;
    throw error;
  })) as Partial<Presence> | null | undefined;
  if (typeof value?.pid !== 'number' || typeof value.url !== 'string' || typeof value.port !== 'number')
    return undefined;
  return {
    pid: value.pid,
    port: value.port,
    url: value.url,
    ...(typeof value.host === 'string' && { host: value.host }),
    version: String(value.version ?? ''),
    started: Number(value.started ?? 0),
  };
}

/** False when no process has this pid. True proves little: pids are used again. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The local token: 256 random bits in a file that only the owner reads; made at the first start and kept. */
export async function localToken(home: Home): Promise<string> {
  const kept = (await readIfThere(home.token))?.trim();
  if (kept !== undefined && kept.length >= 32) return kept;
  const fresh = `fbl_${randomBytes(32).toString('base64url')}`;
  if (kept === undefined && !(await createAtomically(home.token, `${fresh}\n`, 0o600))) return localToken(home);
  if (kept !== undefined) await writeAtomically(home.token, `${fresh}\n`, 0o600);
  return fresh;
}
