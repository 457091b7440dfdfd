import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { SeededRandom } from '@fieldbook/core/testing';
import { expect, it, vi } from 'vitest';
import { ask, startAgent } from '../fixtures/agent.ts';
import { bytesOf, Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { amount } from '../scaffold/mode.ts';

const MiB = 1024 * 1024;
const CHUNK = 8 * MiB;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Every blob that these contents are, and nothing else. */
function blobsOf(bytes: Uint8Array): string[] {
  if (bytes.length <= CHUNK) return [sha256(bytes)];
  const chunks = Array.from({ length: Math.ceil(bytes.length / CHUNK) }, (_, index) =>
    sha256(bytes.subarray(index * CHUNK, (index + 1) * CHUNK)),
  );
  const head = Buffer.alloc(12);
  head.write('FBC1');
  head.writeBigUInt64LE(BigInt(bytes.length), 4);
  return [...chunks, sha256(Buffer.concat([head, ...chunks.map((chunk) => Buffer.from(chunk, 'hex'))]))];
}

it(
  '[FIL-7] kill -9 of the agent at any moment loses no file and leaves none in the spool',
  async () => {
    const seed = Date.now() % 1e9;
    const random = new SeededRandom(seed);
    const home = emptyFolder('files-kill');
    const kills = amount(8, 60);
    const scripts = Array.from({ length: 3 }, (_, index) => new Script(home, 'kill', `run-${index % 2}`));
    const uploaded: { run: string; path: string; digest: string }[] = [];
    const expected = new Set<string>();
    const upload = (script: Script, index: number, size: number, contents: number): void => {
      const bytes = bytesOf(size, contents);
      const path = `files/${uploaded.length}`;
      script.upload(bytes, { path, ...(random.chance(0.5) ? { sha256: sha256(bytes) } : {}) });
      uploaded.push({ run: `run-${index % 2}`, path, digest: sha256(bytes) });
      for (const blob of blobsOf(bytes)) expected.add(blob);
    };
    let midway = 0;
    for (let kill = 0; kill < kills; kill++) {
      for (const [index, script] of scripts.entries()) {
        script.log(kill, random.float());
        for (let files = random.int(4); files >= 0; files--)
          upload(script, index, random.pick([0, 10, 5000, 3 * MiB, CHUNK, CHUNK + 1, 2 * CHUNK + 7]), random.int(12));
      }
      const agent = await startAgent(home);
      await wait(random.int(400));
      await agent.program.stop('SIGKILL');
      const left = scripts.flatMap(({ spool }) => readdirSync(spool).filter((name) => !name.startsWith('.')));
      if (left.length > 0 && left.length < uploaded.length) midway++;
    }
    for (const script of scripts) script.finish();
    const agent = await startAgent(home);
    const spooled = (): string[] => scripts.flatMap(({ spool }) => readdirSync(spool));
    await vi.waitFor(
      async () => {
        const { files } = (await ask(agent, 'GET', '/health')).json;
        expect(files, `seed ${seed}`).toEqual({ pending: 0, pendingBytes: 0, problem: null, failures: [] });
        expect(spooled(), `seed ${seed}`).toEqual([]);
      },
      { timeout: 60_000, interval: 100 },
    );
    for (const run of ['run-0', 'run-1']) {
      const { files } = (await ask(agent, 'GET', `/runs/${run}/files`)).json as {
        files: { path: string; digest: string; state: string }[];
      };
      const shown = files.map(({ path, digest, state }) => `${path} ${digest} ${state}`).sort();
      const wanted = uploaded.filter((one) => one.run === run).map(({ path, digest }) => `${path} ${digest} here`);
      expect(shown, `seed ${seed}`).toEqual(wanted.sort());
    }
    const stored = new Set(
      readdirSync(join(home, 'blobs/sha256'), { recursive: true }).map((name) => String(name).slice(3)),
    );
    for (const blob of expected) expect(stored.has(blob), `seed ${seed}: ${blob}`).toBe(true);
    const checked = await ask(agent, 'POST', '/blobs/missing', { digests: [...expected].slice(0, 1000) });
    expect(checked.json).toEqual({ missing: [] });
    for (const { run, path, digest } of random.shuffle(uploaded).slice(0, 10)) {
      const answer = await fetch(`${agent.url}/api/v1/runs/${run}/file?path=${path}`, {
        headers: { authorization: `Bearer ${agent.token}` },
      });
      expect(sha256(new Uint8Array(await answer.arrayBuffer())), `seed ${seed}: ${path}`).toBe(digest);
    }
    // Not vacuous: kills hit while some files were stored and others were not.
    expect(midway, `seed ${seed}`).toBeGreaterThan(0);
  },
  amount(180_000, 30 * 60_000),
);
