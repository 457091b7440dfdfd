import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import { readIfThere } from '../machine/files.ts';
import type { Home } from '../machine/home.ts';
import { processExists, readPresence } from '../agent/presence.ts';
import type { Client } from './client.ts';
import { agentClient } from './client.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** An agent is asked who it is first; one that hangs must not hang every command. */
const HELLO_MS = 3_000;
/** Another command may have the store for a moment, or an agent may be starting or stopping. */
const LOCKED_FOR_MS = 8_000;
const RETRY_MS = 100;

/** The home's running agent; undefined when none runs, whatever agent.json says. */
export async function connectToAgent(home: Home): Promise<Client | undefined> {
  const presence = await readPresence(home);
  if (presence === undefined || !processExists(presence.pid)) return undefined;
  const token = (await readIfThere(home.token))?.trim() ?? '';
  const hello = agentClient(presence.url, token, HELLO_MS);
  try {
    await hello.call('GET', '/device');
    return agentClient(presence.url, token);
  } catch (error) {
    // Another program has that pid or port by now, or an agent of another home.
    if (
      isFieldbookError(error, 'agent_not_running') ||
      isFieldbookError(error, 'unauthorized') ||
      isFieldbookError(error, 'internal')
    )
      return undefined;
    throw error;
  } finally {
    await hello.close();
  }
}

/** The running agent, else the store opened in this process. Throws `store_locked` when neither can be had for seconds. */
export async function connect(home: Home, env: Env): Promise<Client> {
  const deadline = Date.now() + LOCKED_FOR_MS;
  for (;;) {
    const agent = await connectToAgent(home);
    if (agent !== undefined) return agent;
    try {
      const { openDirect } = await import('./direct.ts');
      return await openDirect(home, env);
    } catch (error) {
      if (!isFieldbookError(error, 'store_locked') || Date.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** As `connect`, for what only an agent can do. */
export async function needAgent(home: Home): Promise<Client> {
  const agent = await connectToAgent(home);
  if (agent === undefined)
    throw new FieldbookError('agent_not_running', 'No agent runs on this machine. Start one with "fieldbook up".');
  return agent;
}
