import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';

/** Asks again until the answer fits; fails with the last one. */
async function until(agent: Agent, path: string, fits: (json: never) => boolean): Promise<Record<string, unknown>> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const { json } = await ask(agent, 'GET', path);
    if (fits(json as never)) return json;
    if (Date.now() > deadline) throw new Error(`${path} stayed ${JSON.stringify(json)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('the exchange with a relay', () => {
  it('[SYN-1] is paused over restarts and resumed where it was', async () => {
    const home = emptyFolder('sync');
    let agent = await startAgent(home);
    const relay = await new Relay().up();
    const token = await relay.token('member', 'Ada');
    expect((await ask(agent, 'POST', '/join', { url: relay.url, token })).json).toMatchObject({ paused: false });
    const paused = await ask(agent, 'POST', '/sync/pause', { url: relay.url, paused: true });
    expect(paused.json).toMatchObject({ connected: false, paused: true, problem: null });
    await ask(agent, 'POST', '/demo', {});
    await agent.program.stop();
    agent = await startAgent(home);
    const state = (await ask(agent, 'GET', '/sync')).json;
    expect(state).toMatchObject({ settled: false, peers: [{ paused: true, connected: false }] });
    expect(state.peers[0].pendingDocuments).toBeGreaterThan(14);
    await ask(agent, 'POST', '/sync/retry', {});
    expect((await relay.api<{ projects: object[] }>(token, 'GET', '/projects')).body.projects).toEqual([]);
    expect((await ask(agent, 'POST', '/sync/pause', { url: relay.url, paused: false })).json.paused).toBe(false);
    const after = await until(agent, '/sync', ({ settled }) => settled);
    expect((after['peers'] as { sentBytes: number }[])[0]!.sentBytes).toBeGreaterThan(10_000);
    expect((await relay.api<{ projects: object[] }>(token, 'GET', '/projects')).body.projects).toHaveLength(1);
    expect((await ask(agent, 'POST', '/sync/pause', { url: 'http://127.0.0.1:1', paused: true })).status).toBe(404);
  });

  it('[SYN-2] names what is on this machine only, until the relay has it', async () => {
    const agent = await startAgent(emptyFolder('sync'));
    await ask(agent, 'POST', '/demo', {});
    const alone = (await ask(agent, 'GET', '/sync/only-here')).json;
    expect(alone).toMatchObject({ runCount: 14, projects: [{ project: 'digits' }], complete: true, elsewhere: [] });
    expect(alone.runs).toHaveLength(14);
    const unshared = async (through = ''): Promise<unknown> =>
      (await ask(agent, 'GET', `/sync/unshared${through}`)).json;
    const digits = { project: 'digits', runs: 14, changes: true };
    expect(await unshared()).toMatchObject({ runCount: 14, projects: [digits], complete: true });
    expect(await unshared('?through=0')).toEqual({ runs: [], runCount: 0, projects: [], complete: true });
    expect(alone.runs.map(({ name }: { name: string }) => name)).toContain('too fast');
    const relay = await new Relay().up();
    await ask(agent, 'POST', '/join', { url: relay.url, token: await relay.token('member', 'Ada') });
    const shared = await until(agent, '/sync/only-here', ({ documents }) => documents === 0);
    expect(shared).toMatchObject({ runCount: 0, runs: [], projects: [], fileCount: 0 });
    expect(await unshared()).toEqual({ runs: [], runCount: 0, projects: [], complete: true });
    await relay.down();
    await ask(agent, 'POST', '/runs/too%20fast/edits', [{ field: 'tags', op: 'add', value: 'later' }]);
    const later = (await ask(agent, 'GET', '/sync/only-here')).json;
    expect(later).toMatchObject({ documents: 1, runCount: 0, projects: [{ project: 'digits', title: 'digits' }] });
    expect(await unshared()).toEqual({ runs: [], runCount: 0, projects: [{ ...digits, runs: 0 }], complete: true });
  });

  it('[SYN-2] says which files lie on another machine only', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'Ada');
    const ada = await startAgent(emptyFolder('sync'));
    await ask(ada, 'POST', '/demo', {});
    await ask(ada, 'POST', '/join', { url: relay.url, token });
    await until(ada, '/sync', ({ settled }) => settled);
    const grace = emptyFolder('sync');
    writeFileSync(join(grace, 'config.json'), JSON.stringify({ files: [{ pattern: '**', travel: 'never' }] }));
    const script = join(emptyFolder('script'), 'make.sh');
    writeFileSync(script, 'echo hello\n');
    const ran = await fieldbook(grace, ['run', '--project', 'digits', '--name', 'kept back', '--', 'sh', script], {
      env: { FIELDBOOK_HOST: 'gpu-2' },
    });
    expect([ran.stderr, ran.code]).toEqual([expect.any(String), 0]);
    await fieldbook(grace, ['join', relay.url, '-t', token], { env: { FIELDBOOK_HOST: 'gpu-2' } });
    await fieldbook(grace, ['sync'], { env: { FIELDBOOK_HOST: 'gpu-2' } });
    const seen = await until(ada, '/sync/only-here', ({ elsewhere }) => (elsewhere as unknown[]).length > 0);
    expect(seen['elsewhere']).toEqual([
      expect.objectContaining({ name: 'gpu-2', files: expect.any(Number), bytes: expect.any(Number) }),
    ]);
  });
});
