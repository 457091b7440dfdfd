import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ask, fieldbook, send, startAgent } from '../fixtures/agent.ts';
import type { Agent } from '../fixtures/agent.ts';
import { amount } from '../scaffold/mode.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { startProgram } from '../scaffold/program.ts';

const bearer = (agent: Agent): Record<string, string> => ({ authorization: `Bearer ${agent.token}` });

describe('access', () => {
  it('[API-14] refuses every name but its own, for pages, API and sockets alike', async () => {
    const agent = await startAgent(emptyFolder('home'));
    for (const host of [
      'evil.example',
      `evil.example:${agent.port}`,
      'localhost:1',
      '127.0.0.1',
      `127.0.0.1.nip.io:${agent.port}`,
    ]) {
      for (const path of ['/', '/api/v1/projects']) {
        const answer = await send(agent.url, 'GET', path, { headers: { ...bearer(agent), host } });
        expect([host, path, answer.status, answer.json?.error.code]).toEqual([host, path, 403, 'bad_host']);
      }
      const refused = await upgrade(agent, '/rooms/workspace', { ...bearer(agent), host });
      expect([host, refused]).toEqual([host, 'HTTP 403']);
    }
    for (const host of [
      `localhost:${agent.port}`,
      `127.0.0.1:${agent.port}`,
      `[::1]:${agent.port}`,
      `LOCALHOST:${agent.port}`,
    ]) {
      expect([
        host,
        (await send(agent.url, 'GET', '/api/v1/projects', { headers: { ...bearer(agent), host } })).status,
      ]).toEqual([host, 200]);
    }
  });

  it('[API-15] refuses pages of other origins, even with the token, and lets its own page in without one', async () => {
    const agent = await startAgent(emptyFolder('home'));
    const own = agent.url;
    const status = async (method: string, headers: Record<string, string>): Promise<string> => {
      const answer = await send(agent.url, method, method === 'GET' ? '/api/v1/projects' : '/api/v1/blobs/missing', {
        headers,
        ...(method === 'GET' ? {} : { body: { digests: [] } }),
      });
      return answer.status === 200 ? 'ok' : answer.json.error.code;
    };
    expect(await status('POST', { ...bearer(agent), origin: 'https://evil.example' })).toBe('bad_origin');
    expect(await status('POST', { origin: 'null' })).toBe('bad_origin');
    expect(await status('POST', { origin: `http://localhost:${agent.port + 1}` })).toBe('bad_origin');
    expect(await status('GET', { 'sec-fetch-site': 'cross-site' })).toBe('bad_origin');
    expect(await status('GET', { 'sec-fetch-site': 'same-site' })).toBe('bad_origin');
    expect(await status('POST', { 'sec-fetch-site': 'none' })).toBe('unauthorized');
    expect(await status('GET', { 'sec-fetch-site': 'none' })).toBe('ok');
    expect(await status('GET', { 'sec-fetch-site': 'same-origin' })).toBe('ok');
    expect(await status('POST', { origin: own, 'sec-fetch-site': 'same-origin' })).toBe('ok');
    expect(await upgrade(agent, '/rooms/workspace', { ...bearer(agent), origin: 'https://evil.example' })).toBe(
      'close 4403',
    );
    expect(await upgrade(agent, '/rooms/workspace', { origin: own })).toBe('open');
  });

  it('[API-16] asks everything else for the token, which only the owner can read, and closes sockets with 4401', async () => {
    const agent = await startAgent(emptyFolder('home'));
    expect(statSync(join(agent.home, 'agent.token')).mode & 0o777).toBe(0o600);
    expect(statSync(join(agent.home, 'device.json')).mode & 0o777).toBe(0o600);
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: `Basic ${agent.token}` }]) {
      const answer = await send(agent.url, 'GET', '/api/v1/device', { headers });
      expect([headers, answer.status, answer.json.error.code]).toEqual([headers, 401, 'unauthorized']);
    }
    expect((await send(agent.url, 'GET', '/api/v1/device', { headers: bearer(agent) })).status).toBe(200);
    expect(await upgrade(agent, '/rooms/workspace', {})).toBe('close 4401');
    expect(
      await upgrade(agent, '/rooms/workspace', {
        origin: agent.url,
        'sec-websocket-protocol': 'fieldbook.v1, fieldbook.token.wrong',
      }),
    ).toBe('close 4401');
    expect(
      await upgrade(agent, '/rooms/workspace', {
        'sec-websocket-protocol': `fieldbook.v1, fieldbook.token.${agent.token}`,
      }),
    ).toBe('open');
    expect(await upgrade(agent, '/rooms/secrets', bearer(agent))).toBe('close 4404');
    expect(await upgrade(agent, '/elsewhere', bearer(agent))).toBe('close 4404');
  });

  it('[API-17] reads no more of a body than its route takes, and survives requests that are none', async () => {
    const agent = await startAgent(emptyFolder('home'));
    const large = await send(agent.url, 'POST', '/api/v1/blobs/missing', {
      headers: bearer(agent),
      body: 'x'.repeat(2_000_000),
    }).catch((error: NodeJS.ErrnoException) => error.code);
    expect(typeof large === 'object' ? large.json.error.code : large).toMatch(/too_large|EPIPE|ECONNRESET/);
    expect(
      (await send(agent.url, 'GET', '/api/v1/projects', { headers: bearer(agent), body: 'surplus' })).json.error.code,
    ).toBe('too_large');
    expect(
      (await send(agent.url, 'POST', '/api/v1/blobs/missing', { headers: bearer(agent), body: '{"digests":' })).json
        .error.code,
    ).toBe('invalid_argument');
    for (const path of [
      '/../../etc/passwd',
      '/..%2f..%2fetc/passwd',
      '/assets/..%2f..%2fpackage.json',
      '//etc/passwd',
      '/%',
      '/%00',
    ]) {
      const answer = await send(agent.url, 'GET', path);
      expect([path, answer.text.includes('root:'), answer.text.includes('"license"')]).toEqual([path, false, false]);
    }
    expect((await ask(agent, 'GET', '/device')).status).toBe(200);
  });

  it('[API-18] serves the UI with a strict policy, hashed files for ever, and its pages under every path of the app', async () => {
    const web = emptyFolder('web');
    mkdirSync(join(web, 'assets'));
    writeFileSync(join(web, 'index.html'), '<!doctype html><title>Fieldbook</title>');
    writeFileSync(join(web, 'assets', 'index-Ab3dEf9h.js'), 'export {}');
    writeFileSync(join(web, 'sw.js'), '// worker');
    const agent = await startAgent(emptyFolder('home'), { args: ['--web', web] });
    const page = await send(agent.url, 'GET', '/r/some-run');
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.headers['content-security-policy']).toContain("script-src 'self'");
    expect(page.headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(page.headers['x-content-type-options']).toBe('nosniff');
    expect(page.headers['referrer-policy']).toBe('no-referrer');
    expect(page.headers['cache-control']).toBe('no-cache');
    expect(
      (await send(agent.url, 'GET', '/', { headers: { 'if-none-match': String(page.headers['etag']) } })).status,
    ).toBe(304);
    const script = await send(agent.url, 'GET', '/assets/index-Ab3dEf9h.js');
    expect(script.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect((await send(agent.url, 'GET', '/sw.js')).headers['cache-control']).toBe('no-cache');
    expect((await send(agent.url, 'GET', '/assets/gone.js')).status).toBe(404);
    expect((await send(agent.url, 'POST', '/')).json.error.code).toBe('method_not_allowed');
  });
});

describe('starting and stopping', () => {
  it('[CLI-1] says where it runs, once per home, and leaves nothing behind when it is told to stop', async () => {
    const home = emptyFolder('home');
    const agent = await startAgent(home);
    const again = await fieldbook(home, ['up', '--json']);
    expect([again.code, again.json]).toEqual([
      0,
      { url: agent.url, pid: agent.program.pid, code: 'agent_already_running' },
    ]);
    expect((await fieldbook(home, ['status', '--json'])).json).toMatchObject({
      running: true,
      url: agent.url,
      by: 'Ada',
    });
    expect(await agent.program.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(existsSync(join(home, 'agent.json'))).toBe(false);
    const status = await fieldbook(home, ['status', '--json']);
    expect([status.code, status.json]).toEqual([4, { running: false, home }]);
  });

  it('[CLI-1] of several that start at once one runs, and the others say where', async () => {
    const home = emptyFolder('home');
    const starting = [1, 2, 3].map(() =>
      startProgram('fieldbook', ['up', '--port', '0', '--json'], { FIELDBOOK_HOME: home }),
    );
    const said = await Promise.all(starting.map(async (program) => JSON.parse((await program.says(/\{[^}]*\}/))[0])));
    expect(new Set(said.map(({ url }) => url)).size).toBe(1);
    expect(said.filter(({ code }) => code === 'agent_already_running')).toHaveLength(2);
    expect((await fieldbook(home, ['down', '--json'])).json).toEqual({ stopped: true });
    for (const program of starting) expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  it('[CLI-1] ends at once with a page open, in the middle of its events', async () => {
    const agent = await startAgent(emptyFolder('home'));
    const response = await fetch(`${agent.url}/api/v1/events`, { headers: bearer(agent) });
    const reader = response.body!.getReader();
    await reader.read();
    expect(await agent.program.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(agent.program.output()).not.toContain('http.cut');
    while (!(await reader.read()).done);
  });

  it('[CLI-2] is not misled by what a killed agent left, and starts in less than a second', async () => {
    const home = emptyFolder('home');
    const first = await startAgent(home);
    await first.program.stop('SIGKILL');
    expect(existsSync(join(home, 'agent.json'))).toBe(true);
    expect((await fieldbook(home, ['status'])).code).toBe(4);
    const begun = performance.now();
    const second = await startAgent(home);
    // 700 ms on a quiet machine; the bound is for one that runs other tests at the same time.
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect(second.token).toBe(first.token);
    expect((await ask(second, 'GET', '/device')).status).toBe(200);
  });

  it('[CLI-3] says who has a port that was asked for, and takes no other', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const up = await fieldbook(emptyFolder('home'), ['up', '--port', String(port), '--json']);
    expect([up.code, JSON.parse(up.stderr).error.code]).toEqual([1, 'port_in_use']);
    if (process.platform === 'linux') expect(JSON.parse(up.stderr).error.message).toContain(`(pid ${process.pid})`);
  });

  it('[CLI-4] runs in the background until it is told to stop', async () => {
    const home = emptyFolder('home');
    const up = await fieldbook(home, ['up', '-d', '--port', '0', '--json']);
    expect(up.stderr).toBe('');
    onTestFinished(() => {
      try {
        process.kill(up.json.pid, 'SIGKILL');
      } catch {
        // It has stopped, as it should.
      }
    });
    expect(up.code).toBe(0);
    expect((await fieldbook(home, ['status', '--json'])).json).toMatchObject({
      running: true,
      url: up.json.url,
      pid: up.json.pid,
    });
    expect((await fieldbook(home, ['down', '--json'])).json).toEqual({ stopped: true });
    expect((await fieldbook(home, ['status'])).code).toBe(4);
    expect(readFileSync(join(home, 'agent.log'), 'utf8')).toContain('agent.stopped');
  });

  it('[CLI-5] refuses to let other machines in unless told twice', async () => {
    const refused = await fieldbook(emptyFolder('home'), ['up', '--host', '0.0.0.0', '--port', '0']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--allow-remote')]);
  });
});

describe('rooms', () => {
  it('[API-19] lets a stock y-websocket client read and write documents, and says when that is durable', async () => {
    const home = emptyFolder('home');
    const agent = await startAgent(home);
    await fieldbook(home, ['demo']);
    const { books } = (await ask(agent, 'GET', '/workspace')).json as { books: { document: string }[] };
    const doc = new Y.Doc();
    const provider = new WebsocketProvider(`ws://127.0.0.1:${agent.port}/rooms`, books[0]!.document, doc, {
      WebSocketPolyfill: WebSocket as never,
      disableBc: true,
      protocols: ['fieldbook.v1', `fieldbook.token.${agent.token}`],
    });
    onTestFinished(() => provider.destroy());
    await new Promise<void>((resolve) => provider.once('sync', () => resolve()));
    expect(doc.getMap('cards').size).toBeGreaterThan(0);
    const { runs } = (await ask(agent, 'GET', '/projects/digits/runs')).json as { runs: { id: string }[] };
    const changed = new Promise<void>((resolve) => doc.getMap('edits').observe(() => resolve()));
    await ask(agent, 'POST', `/runs/${runs[0]!.id}/edits`, [{ field: 'star', op: 'set', value: true }]);
    await changed;
    expect(doc.getMap('edits').size).toBe(1);
  });
});

describe('kill -9', () => {
  it('[API-20] loses no edit that was answered', async () => {
    const home = emptyFolder('home');
    expect((await fieldbook(home, ['demo'])).code).toBe(0);
    const made = new Set<string>();
    for (let round = 0; round < amount(4, 60); round++) {
      const agent = await startAgent(home);
      const { runs } = (await ask(agent, 'GET', '/projects/digits/runs?columns=')).json as {
        runs: { id: string; tags: string[] }[];
      };
      const kept = new Set(runs.flatMap(({ tags }) => tags).filter((tag) => tag.startsWith('t-')));
      expect([...made].filter((tag) => !kept.has(tag))).toEqual([]);
      const after = 5 + ((round * 13) % 40);
      let answered = 0;
      let stopped = false;
      const work = Array.from({ length: 4 }, async (_, worker) => {
        for (let count = 0; !stopped; count++) {
          const tag = `t-${round}-${worker}-${count}`;
          const { id } = runs[(worker * 7 + count) % runs.length]!;
          const answer = await ask(agent, 'POST', `/runs/${id}/edits`, [
            { field: 'tags', op: 'add', value: tag },
          ]).catch(() => undefined);
          if (answer === undefined) return;
          if (answer.status !== 200) continue; // a run has room for so many tags
          made.add(tag);
          answered += 1;
          if (answered === after) {
            stopped = true;
            await agent.program.stop('SIGKILL');
          }
        }
      });
      await Promise.all(work);
    }
    expect(made.size).toBeGreaterThan(20);
    const agent = await startAgent(home);
    const { runs } = (await ask(agent, 'GET', '/projects/digits/runs?columns=')).json as {
      runs: { tags: string[]; conflicts: string[] }[];
    };
    const kept = new Set(runs.flatMap(({ tags }) => tags));
    expect([...made].filter((tag) => !kept.has(tag))).toEqual([]);
    expect(runs.flatMap(({ conflicts }) => conflicts)).toEqual([]);
  });
});

/** What becomes of a WebSocket: `open`, `close <code>` or `HTTP <status>`. */
function upgrade(agent: Agent, path: string, headers: Record<string, string>): Promise<string> {
  const { 'sec-websocket-protocol': protocols, ...others } = headers;
  const socket = new WebSocket(`ws://127.0.0.1:${agent.port}${path}`, protocols?.split(', ') ?? [], {
    headers: others,
  });
  return new Promise((resolve) => {
    socket.on('unexpected-response', (_request, response) => {
      resolve(`HTTP ${response.statusCode}`);
      socket.terminate();
    });
    socket.on('message', () => {
      resolve('open');
      socket.terminate();
    });
    socket.on('close', (code) => resolve(`close ${code}`));
    socket.on('error', () => resolve('error'));
  });
}
