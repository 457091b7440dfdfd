import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, it, vi } from 'vitest';
import type { ProjectId } from '@fieldbook/core';
import type { NamedReport } from '@fieldbook/core/usage';
import { Tokens } from '@fieldbook/relay';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import { bytesOf, Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { startProgram } from '../scaffold/program.ts';

const DIGITS = 'digits' as ProjectId;

/** Bytes of the files at and below a path. */
function bytesAt(path: string): number {
  if (!existsSync(path)) return 0;
  const stat = lstatSync(path);
  if (!stat.isDirectory()) return stat.isFile() ? stat.size : 0;
  return readdirSync(path).reduce((sum, name) => sum + bytesAt(join(path, name)), 0);
}

async function relayCommand(relay: Relay, ...args: string[]): Promise<string> {
  const program = startProgram('fieldbook-relay', [...args, '--data', relay.data], { FIELDBOOK_HOME: relay.data });
  const { code } = await program.ended;
  expect([args, code, program.output()]).toEqual([args, 0, program.output()]);
  return program.output();
}

it('[OPS-16] agent and relay say what their disks hold, while they run and while they do not', async () => {
  const relay = await new Relay().up();
  const home = emptyFolder('storage');
  const agent = await startAgent(home);
  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  const tokenOf = async (role: 'admin' | 'member', projects: ProjectId[] | null = null): Promise<string> =>
    (await tokens.create({ role, projects, name: null, expires: null })).secret;
  const [admin, member, narrow] = [await tokenOf('admin'), await tokenOf('member'), await tokenOf('admin', [DIGITS])];
  tokens.close();
  expect((await ask(agent, 'POST', '/join', { url: relay.url, token: member })).status).toBe(200);
  const script = new Script(home, 'digits', 'run-1');
  script.upload(bytesOf(3_000_000, 1), { path: 'model' });
  for (let step = 0; step < 200; step++) script.log(step, step / 7);
  script.finish();
  await vi.waitFor(
    async () => {
      const { body } = await relay.api<NamedReport>(admin, 'GET', '/storage');
      expect(body.blobs).toMatchObject({ files: { count: 1 }, points: { count: 1 }, unnamed: { count: 0 } });
      expect((await ask(agent, 'GET', '/sync')).json).toMatchObject({ settled: true });
    },
    { timeout: 30_000, interval: 50 },
  );

  const documentOf = async (url: string, token: string): Promise<Ajv2020> => {
    const headers = { authorization: `Bearer ${token}` };
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema((await (await fetch(`${url}/api/v1/openapi.json`, { headers })).json()) as object, 'fieldbook');
    return ajv;
  };
  const schema = 'fieldbook#/paths/~1storage/get/responses/200/content/application~1json/schema';

  for (const token of [member, narrow]) expect((await relay.api(token, 'GET', '/storage')).status).toBe(403);
  const { status, body: report } = await relay.api<NamedReport>(admin, 'GET', '/storage');
  expect(status).toBe(200);
  const ajv = await documentOf(relay.url, admin);
  expect([ajv.validate({ $ref: schema }, report), ajv.errors]).toEqual([true, null]);
  const blobs = bytesAt(join(relay.data, 'blobs/sha256'));
  expect(report.blobs.bytes).toBe(blobs);
  expect(report.blobs.files).toEqual({ count: 1, bytes: 3_000_000 });
  expect(report.blobs.points.bytes + report.blobs.unnamed.bytes).toBe(blobs - 3_000_000);
  expect(report.runs).toMatchObject([{ run: 'run-1', project: 'digits', files: 3_000_000 }]);
  const { free, total } = report.disk;
  expect(free > 0 && free < total).toBe(true);

  const words = await relayCommand(relay, 'storage');
  expect(words).toMatch(/run documents +\d/);
  expect(words).toMatch(/run-1 .* 3 MB|run-1 +3 MB/);
  await relay.down();
  // Nobody has the store now; opening it for the command rewrites LevelDB's files, not what is in it.
  const alone = JSON.parse(await relayCommand(relay, 'storage', '--json')) as NamedReport;
  expect([alone.blobs, alone.runs]).toEqual([report.blobs, report.runs]);
  expect(alone.folders.find(({ name }) => name === 'audit log')?.bytes).toBe(bytesAt(join(relay.data, 'audit.jsonl')));

  const own = (await ask(agent, 'GET', '/storage')).json as NamedReport;
  const agents = await documentOf(agent.url, agent.token);
  expect([agents.validate({ $ref: schema }, own), agents.errors]).toEqual([true, null]);
  expect(own.blobs.bytes).toBe(bytesAt(join(home, 'blobs/sha256')));
  expect(own.folders.find(({ name }) => name === 'journals')?.bytes).toBeGreaterThan(1_000);
  expect(own.runs).toMatchObject([{ run: 'run-1', project: 'digits', files: 3_000_000 }]);
  await agent.program.stop();
  const direct = JSON.parse((await fieldbook(home, ['storage', '--json'])).stdout) as NamedReport;
  expect([direct.blobs, direct.runs[0]!.files]).toEqual([own.blobs, 3_000_000]);
});
