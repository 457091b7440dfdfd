import { chmod, mkdir } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { FieldbookError } from '@fieldbook/core';

/** Where everything of one machine lies. One home is one store and one workspace. */
export interface Home {
  root: string;
  /** Written by training scripts, maybe of other users of a shared directory. */
  journals: string;
  /** LevelDB; one process at a time. */
  store: string;
  blobs: string;
  /** The device's key pair, 0600. */
  device: string;
  /** The restore guard's file, whose inode tells a copy from the original. */
  guard: string;
  /** Who runs the agent and where, while it runs. */
  agent: string;
  /** The local token, 0600. */
  token: string;
  config: string;
  /** Tokens of joined relays by URL, 0600. */
  relayTokens: string;
  /** One file per token that another machine may exchange with; hashes only, 0600. */
  peers: string;
  /** Where `fieldbook up -d` logs. */
  log: string;
}

/** `FIELDBOOK_HOME`, else `~/.fieldbook`. */
export function homeOf(env: Readonly<Record<string, string | undefined>>): Home {
  const said = env['FIELDBOOK_HOME'];
  const root = said === undefined || said === '' ? resolve(personHome(env), '.fieldbook') : resolve(said);
  return {
    root,
    journals: join(root, 'journals'),
    store: join(root, 'store'),
    blobs: join(root, 'blobs'),
    device: join(root, 'device.json'),
    guard: join(root, 'guard'),
    agent: join(root, 'agent.json'),
    token: join(root, 'agent.token'),
    config: join(root, 'config.json'),
    relayTokens: join(root, 'relay-tokens.json'),
    peers: join(root, 'peers'),
    log: join(root, 'agent.log'),
  };
}

/** An empty HOME, as some schedulers leave it, is none: it would put a home into every folder that a command runs in. */
function personHome(env: Readonly<Record<string, string | undefined>>): string {
  const said = env['HOME'];
  if (said !== undefined && said !== '') return said;
  try {
    return userInfo().homedir;
  } catch {
    return '/'; // a container's user without a name
  }
}

/**
 * Creates what is missing. The home is for its owner only, as it holds keys; journals keep the mode that somebody gave
 * them. Throws `storage_failed`, `disk_full`.
 */
export async function makeHome(home: Home): Promise<void> {
  try {
    await mkdir(home.root, { recursive: true, mode: 0o700 });
    await mkdir(home.journals, { recursive: true });
    await mkdir(home.blobs, { recursive: true, mode: 0o700 });
    await mkdir(home.store, { recursive: true, mode: 0o700 });
    await chmod(home.store, 0o700);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new FieldbookError('disk_full', `There is no space for ${home.root}.`, { cause: error });
    }
    throw new FieldbookError(
      'storage_failed',
      `${home.root} cannot be used (${code ?? message}); "fieldbook doctor" says more, FIELDBOOK_HOME names another place.`,
      { cause: error },
    );
  }
}
