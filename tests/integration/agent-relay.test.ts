import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import type { Agent } from '../fixtures/agent.ts';
import { bytesOf, Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import type { Program } from '../scaffold/program.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';

interface Runs {
  runs: { id: string; name: string; tags: string[]; metrics: Record<string, { count: number }> }[];
}

const digits = async (agent: Agent): Promise<Runs['runs']> =>
  ((await ask(agent, 'GET', '/projects/digits/runs?limit=1000')).json as Runs).runs;

/** What a command said besides its progress, which it tells after a second, as on a machine that runs other tests too. */
const unlessSlow = (stderr: string): string => stderr.replace(/^(Exchanging|Taking journals in).*\n/gm, '');

describe('an agent and its relay', () => {
  it('[CLI-20] sync ends when everything is exchanged; another machine has every run, point and edit, and may be told to fetch bytes', async () => {
    const relay = await new Relay().up();
    const [one, two] = [await startAgent(emptyFolder('one')), await startAgent(emptyFolder('two'))];
    await fieldbook(one.home, ['demo']);
    const [run] = await digits(one);
    await fieldbook(one.home, ['tag', run!.id, 'from-one']);
    expect((await fieldbook(one.home, ['sync', '--json'])).json).toMatchObject({ peers: [] });
    for (const agent of [one, two]) {
      const joined = await fieldbook(agent.home, [
        'join',
        `${relay.url}/#token=${await usableToken(relay, 'member')}`,
        '--json',
      ]);
      expect([joined.stderr, joined.code, joined.json?.connected]).toEqual(['', 0, true]);
    }
    for (const agent of [one, two]) {
      const synced = await fieldbook(agent.home, ['sync', '--timeout', '30', '--json']);
      expect([unlessSlow(synced.stderr), synced.code, synced.json?.settled]).toEqual(['', 0, true]);
    }
    expect(await digits(two)).toEqual(await digits(one));
    expect((await digits(two)).find(({ id }) => id === run!.id)!.tags).toContain('from-one');
    const metric = Object.keys(run!.metrics)[0]!;
    const series = `/runs/${run!.id}/series?metric=${encodeURIComponent(metric)}&points=100000`;
    const there = (await ask(two, 'GET', series)).json;
    expect(there).toEqual((await ask(one, 'GET', series)).json);
    expect(there.total).toBe(run!.metrics[metric]!.count);
    expect((await ask(one, 'GET', `/runs/${run!.id}`)).json.holders).toEqual([relay.url]);
    const workspaces = await Promise.all([one, two].map(async (agent) => (await ask(agent, 'GET', '/workspace')).json));
    expect(workspaces[0].id).toBe(workspaces[1].id);
    expect(workspaces.map((workspace) => workspace.private)).toEqual([false, false]);
    // The bytes are here now: the relay may go.
    await relay.down();
    expect((await ask(two, 'GET', series)).json).toEqual(there);
    expect((await fieldbook(two.home, ['sync', '--timeout', '1'])).code).toBe(4);
    expect((await fieldbook(two.home, ['leave', '--json'])).json).toEqual({ left: true });
    expect((await ask(two, 'GET', '/sync')).json.peers).toEqual([]);
  });

  it('[CLI-19] join keeps the token to its owner, and keeps nothing of a relay that refused it', async () => {
    const relay = await new Relay().up();
    const agent = await startAgent(emptyFolder('home'));
    const refused = await fieldbook(agent.home, ['join', relay.url, '--token', 'fbt_wrong', '--json']);
    expect([refused.code, JSON.parse(refused.stderr).error.code]).toEqual([5, 'unauthorized']);
    expect((await fieldbook(agent.home, ['join', 'http://127.0.0.1:1', '-t', 'x'])).code).toBe(4);
    expect((await ask(agent, 'GET', '/sync')).json.peers).toEqual([]);
    expect((await ask(agent, 'GET', '/workspace')).json.private).toBe(true);
    const token = await usableToken(relay, 'member');
    expect((await fieldbook(agent.home, ['join', relay.url, '-t', '-'], { stdin: `${token}\n` })).code).toBe(0);
    expect((await fieldbook(agent.home, ['leave'])).code).toBe(0);
    expect((await fieldbook(agent.home, ['join', relay.url], { env: { FIELDBOOK_TOKEN: token } })).code).toBe(0);
    const kept = join(agent.home, 'relay-tokens.json');
    expect(statSync(kept).mode & 0o777).toBe(0o600);
    expect(readFileSync(kept, 'utf8')).toContain(token);
    expect(readFileSync(join(agent.home, 'config.json'), 'utf8')).not.toContain(token);
    expect(agent.program.output()).not.toContain(token);
    expect((await fieldbook(agent.home, ['sync', '--timeout', '30'])).code).toBe(0);
    // Nor does the log of what came keep it, on either side.
    const holding = [agent.home, relay.data].flatMap((folder) =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && readFileSync(join(entry.parentPath, entry.name)).includes(token))
        .map(({ name }) => name),
    );
    expect(holding).toEqual(['relay-tokens.json']);
    const other = await new Relay().up();
    const second = await fieldbook(agent.home, ['join', other.url, '-t', await usableToken(other, 'member'), '--json']);
    expect(JSON.parse(second.stderr).error.code).toBe('workspace_mismatch');
  });

  it('[CLI-20] sync with a token that only reads takes everything in, and never says that what was made here is there', async () => {
    const relay = await new Relay().up();
    const [writer, reader] = [await startAgent(emptyFolder('one')), await startAgent(emptyFolder('two'))];
    await fieldbook(writer.home, ['demo']);
    await fieldbook(writer.home, ['join', relay.url, '-t', await usableToken(relay, 'member')]);
    expect((await fieldbook(writer.home, ['sync', '--timeout', '30'])).code).toBe(0);
    const joined = await fieldbook(reader.home, ['join', relay.url, '-t', await usableToken(relay, 'viewer')]);
    expect([joined.code, joined.stdout]).toEqual([0, expect.stringContaining('to read')]);
    const synced = await fieldbook(reader.home, ['sync', '--timeout', '30', '--json']);
    expect([synced.code, JSON.parse(synced.stderr.trim().split('\n').at(-1)!).error.code]).toEqual([5, 'forbidden']);
    expect(await digits(reader)).toEqual(await digits(writer));
    const [run] = await digits(reader);
    await fieldbook(reader.home, ['tag', run!.id, 'mine']);
    const after = (await ask(reader, 'GET', '/sync')).json;
    expect(after).toMatchObject({ settled: false, peers: [{ connected: true, problem: { code: 'forbidden' } }] });
    expect(after.peers[0].pendingDocuments).toBeGreaterThan(0);
    expect((await digits(writer)).find(({ id }) => id === run!.id)!.tags).not.toContain('mine');
  });

  it('[RPL-33] keeps a limit while a file goes to the relay, and an edit that is made meanwhile does not wait for it', async () => {
    const relay = await new Relay().up();
    const token = await usableToken(relay, 'member');
    const agent = await startAgent(emptyFolder('limited'));
    await fieldbook(agent.home, ['demo']);
    const joined = await fieldbook(agent.home, ['join', relay.url, '--token', token, '--limit', '2MB/s', '--json']);
    expect([joined.code, joined.json?.limitBytesPerS]).toEqual([0, 2_000_000]);
    expect((await fieldbook(agent.home, ['sync', '--timeout', '30'])).code).toBe(0);
    const [run] = await digits(agent);
    // The file takes more than half a minute now, until somebody lifts the limit.
    await fieldbook(agent.home, ['limit', relay.url, '16kB/s']);
    const script = new Script(agent.home, 'digits', 'heavy');
    script.upload(bytesOf(600_000, 7), { path: 'model', travel: 'now' });
    script.finish();
    const waiting = async (): Promise<number> => (await ask(agent, 'GET', '/sync')).json.peers[0].pendingBlobs;
    await vi.waitFor(async () => expect(await waiting()).toBe(1), { timeout: 20_000, interval: 20 });
    await ask(agent, 'POST', `/runs/${run!.id}/edits`, [{ field: 'tags', op: 'add', value: 'while-it-goes' }]);
    await vi.waitFor(
      async () => {
        const { body } = await relay.api<{ tags: string[] }>(token, 'GET', `/runs/${run!.id}`);
        expect(body.tags).toContain('while-it-goes');
      },
      { timeout: 20_000, interval: 20 },
    );
    const left = await waiting();
    const lifted = await fieldbook(agent.home, ['limit', relay.url, 'off', '--json']);
    expect((await fieldbook(agent.home, ['sync', '--timeout', '40'])).code).toBe(0);
    expect([left, lifted.json?.limitBytesPerS]).toEqual([1, null]);
    expect((await fieldbook(agent.home, ['limit', relay.url, '3kB/s'])).code).toBe(2);
    await fieldbook(agent.home, ['limit', relay.url, '1MB/s']);
    expect((await fieldbook(agent.home, ['status'])).stdout).toContain('1 MB/s at most');
  });

  it('[CLI-8] joins and syncs with no agent, for as long as the command runs', async () => {
    const relay = await new Relay().up();
    const home = emptyFolder('home');
    const token = await usableToken(relay, 'member');
    await fieldbook(home, ['demo']);
    expect((await fieldbook(home, ['join', relay.url, '-t', token])).code).toBe(0);
    const synced = await fieldbook(home, ['sync', '--timeout', '30', '--json']);
    expect([unlessSlow(synced.stderr), synced.code]).toEqual(['', 0]);
    const { body } = await relay.api<{ projects: { id: string; runs: number }[] }>(token, 'GET', '/projects');
    expect(body.projects.map(({ id }) => id)).toEqual(['digits']);
    expect(body.projects[0]!.runs).toBe((await fieldbook(home, ['ls', '--json'])).json.total);
  });

  it('[API-20] an agent that is killed while it exchanges goes on where it was', async () => {
    const relay = await new Relay().up();
    const home = emptyFolder('home');
    await fieldbook(home, ['demo']);
    let agent = await startAgent(home);
    await fieldbook(home, ['join', relay.url, '-t', await usableToken(relay, 'member')]);
    for (const tag of ['a', 'b', 'c']) {
      const [run] = await digits(agent);
      expect(
        (await ask(agent, 'POST', `/runs/${run!.id}/edits`, [{ field: 'tags', op: 'add', value: tag }])).status,
      ).toBe(200);
      await agent.program.stop('SIGKILL');
      agent = await startAgent(home);
    }
    expect((await fieldbook(home, ['sync', '--timeout', '30'])).code).toBe(0);
    const token = await usableToken(relay, 'viewer');
    const there = (await relay.api<Runs>(token, 'GET', '/projects/digits/runs?limit=1000')).body.runs;
    expect(there).toEqual(await digits(agent));
    expect(there.flatMap(({ tags }) => tags)).toEqual(expect.arrayContaining(['a', 'b', 'c']));
  });
});

describe('two agents', () => {
  it('[CLI-20] exchange with each other, with no relay between them', async () => {
    const [one, two] = [await startAgent(emptyFolder('one')), await startAgent(emptyFolder('two'))];
    await fieldbook(one.home, ['demo']);
    const joined = await fieldbook(two.home, ['join', one.url, '-t', one.token, '--json']);
    expect([joined.stderr, joined.code]).toEqual(['', 0]);
    const [run] = await digits(one);
    expect((await fieldbook(two.home, ['sync', '--timeout', '30'])).code).toBe(0);
    await fieldbook(two.home, ['tag', run!.id, 'from-two']);
    expect((await fieldbook(two.home, ['sync', '--timeout', '30'])).code).toBe(0);
    expect(await digits(one)).toEqual(await digits(two));
    expect((await digits(one)).find(({ id }) => id === run!.id)!.tags).toContain('from-two');
  });
});

describe('live values', () => {
  it('[API-22] of a running run come as events and as awareness of its book’s room, on the agent and through the relay', async () => {
    const relay = await new Relay().up();
    const agent = await startAgent(emptyFolder('one'));
    const other = await startAgent(emptyFolder('two'));
    for (const each of [agent, other])
      await fieldbook(each.home, ['join', relay.url, '-t', await usableToken(relay, 'member')]);
    const values = nextLive(other);
    const running = await trainForever(agent.home);
    const { run, metrics } = await values;
    expect(metrics['loss']!.value).toBeLessThanOrEqual(1);
    const { books } = (await ask(agent, 'GET', '/workspace')).json as { books: { document: string }[] };
    const provider = new WebsocketProvider(`ws://127.0.0.1:${agent.port}/rooms`, books[0]!.document, new Y.Doc(), {
      WebSocketPolyfill: WebSocket as never,
      disableBc: true,
      protocols: ['fieldbook.v1', `fieldbook.token.${agent.token}`],
    });
    onTestFinished(() => provider.destroy());
    const state = await new Promise<{ run: string }[]>((resolve) => {
      provider.awareness.on('update', () => {
        for (const each of provider.awareness.getStates().values())
          if (each['live'] !== undefined) resolve(each['live'] as { run: string }[]);
      });
    });
    expect(state.map((values) => values.run)).toEqual([run]);
    await running.stop('SIGTERM');
  });
});

/** A fresh token, once the relay has noticed it, which may take half a second. */
async function usableToken(relay: Relay, role: 'member' | 'viewer'): Promise<string> {
  const token = await relay.token(role, 'Ada');
  await vi.waitFor(async () => expect((await relay.api(token, 'GET', '/device')).status).toBe(200), {
    timeout: 10_000,
  });
  return token;
}

/** A training script that logs until it is stopped. */
async function trainForever(home: string): Promise<Program> {
  const { command, env } = pythonForTests();
  const script = [
    'import itertools, time, fieldbook',
    'run = fieldbook.init("live")',
    'print("training", flush=True)',
    'for step in itertools.count():',
    '    run.log({"loss": 1 / (1 + step)}, step=step)',
    '    time.sleep(0.05)',
  ].join('\n');
  const program = startCommand(command, ['-c', script], { ...env, FIELDBOOK_HOME: home });
  await program.says(/training/);
  return program;
}

/** The first live event of an agent. */
async function nextLive(
  agent: Agent,
): Promise<{ run: string; metrics: Record<string, { step: number; value: number }> }> {
  const controller = new AbortController();
  const response = await fetch(`${agent.url}/api/v1/events`, {
    headers: { authorization: `Bearer ${agent.token}` },
    signal: controller.signal,
  });
  let text = '';
  try {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const found = /event: live\ndata: (.*)\n\n/.exec(text);
      if (found !== null) return JSON.parse(found[1]!);
    }
  } finally {
    controller.abort();
  }
  throw new Error(`The stream ended:\n${text}`);
}
