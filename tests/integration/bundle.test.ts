import { Ajv2020 } from 'ajv/dist/2020.js';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, send, startAgent } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { ROOT } from '../../.ci/lib/paths.mjs';

async function examples(): Promise<Agent> {
  const agent = await startAgent(emptyFolder('bundle'));
  await ask(agent, 'POST', '/demo', {});
  return agent;
}

async function digest(agent: Agent): Promise<string> {
  return (await ask(agent, 'GET', '/projects/digits/digest')).json.digest;
}

async function series(agent: Agent, run: string): Promise<unknown> {
  return (await ask(agent, 'GET', `/runs/${run}/series?metric=batch%2Floss&points=5000`)).json;
}

/** What a command said besides its progress, which it tells after a second, as on a machine that runs other tests too. */
const unlessSlow = (stderr: string): string =>
  stderr.replace(/^(Checking|Looking through|Opening|Reading|Taking in|Writing).*\n/gm, '');

const imported = async (home: string, file: string): Promise<Record<string, unknown>> => {
  const { code, json, stderr } = await fieldbook(home, ['bundle', 'import', file, '--json']);
  expect(unlessSlow(stderr)).toBe('');
  expect(code).toBe(0);
  return json.imported[0];
};

describe('bundles on the command line', () => {
  it('[BND-11] carry a project to another machine, with an agent and without, and twice', async () => {
    const ada = await examples();
    const file = join(emptyFolder('carried'), 'digits.fieldbook');
    const made = await fieldbook(ada.home, ['bundle', 'create', '-p', 'digits', '-o', file, '--json']);
    expect([made.code, unlessSlow(made.stderr)]).toEqual([0, '']);
    expect(made.json).toMatchObject({ file, bytes: statSync(file).size });
    expect(made.json.contents).toMatchObject({
      scope: { kind: 'project', project: 'digits' },
      runCount: 14,
      by: 'Ada',
    });

    const grace = await startAgent(emptyFolder('bundle'), {
      env: { FIELDBOOK_USER: 'Grace', FIELDBOOK_HOST: 'cpu-2' },
    });
    const first = await imported(grace.home, file);
    expect(first).toMatchObject({ refused: [], unwanted: 0, purged: 0, manifest: { deviceName: 'gpu-1' } });
    expect(await digest(grace)).toBe(await digest(ada));
    const { runs } = (await ask(ada, 'GET', '/projects/digits/runs?limit=1000')).json;
    for (const { id } of runs) expect(await series(grace, id)).toEqual(await series(ada, id));
    expect(await imported(grace.home, file)).toMatchObject({ changed: 0, added: 0, blobs: 0 });

    // With no agent the command opens the store itself.
    const alone = emptyFolder('bundle');
    expect(await imported(alone, file)).toMatchObject({ documents: first['documents'], blobs: first['blobs'] });
    const listed = await fieldbook(alone, ['ls', '-p', 'digits', '--json', '-n', '1000']);
    expect(listed.json.total).toBe(14);
    const again = join(emptyFolder('carried'), 'again.fieldbook');
    await fieldbook(alone, ['bundle', 'create', '--workspace', '-o', again]);
    expect(await imported(grace.home, again)).toMatchObject({ refused: [], blobs: 0 });
    expect(await digest(grace)).toBe(await digest(ada));
  });

  it('[BND-19] do not put a rebuilt document in the place of one that is here, unless somebody says so', async () => {
    const ada = await examples();
    const { projects } = (await ask(ada, 'GET', '/projects')).json as { projects: { books: string[] }[] };
    const book = projects[0]!.books[0]!;
    const whole = join(emptyFolder('carried'), 'whole.fieldbook');
    await fieldbook(ada.home, ['tag', 'too fast', 'kept']);
    await fieldbook(ada.home, ['bundle', 'create', '--workspace', '-o', whole]);
    const grace = await startAgent(emptyFolder('bundle'));
    await imported(grace.home, whole);
    await ada.program.stop();
    const log = await fieldbook(ada.home, ['repair', book, '--log']);
    const last = log.stdout.trim().split('\n').at(-1)!.split(/\s+/)[0]!;
    expect((await fieldbook(ada.home, ['repair', book, '--without', `commits:${last}`])).code).toBe(0);
    const rebuilt = join(emptyFolder('carried'), 'rebuilt.fieldbook');
    await fieldbook(ada.home, ['bundle', 'create', '--workspace', '-o', rebuilt]);
    const tags = async (): Promise<string[]> => (await ask(grace, 'GET', '/runs/too%20fast')).json.tags;

    const plain = await fieldbook(grace.home, ['bundle', 'import', rebuilt, '--json']);
    expect(plain.json.imported[0].refused).toMatchObject([{ name: book, code: 'generation_mismatch' }]);
    expect(await tags()).toContain('kept');
    const asked = await fieldbook(grace.home, ['bundle', 'import', rebuilt, '--rebuilt', '--json']);
    expect(asked.json.imported[0].refused).toEqual([]);
    expect(await tags()).not.toContain('kept');
  });

  it('[BND-11] hold runs chosen by a query or one by one, and say in words what is wrong', async () => {
    const ada = await examples();
    const folder = emptyFolder('carried');
    const query = join(folder, 'failed.fieldbook');
    const chosen = join(folder, 'chosen.fieldbook');
    const words = await fieldbook(ada.home, ['bundle', 'create', '-p', 'digits', '-q', 'status:failed', '-o', query]);
    expect(words.stdout).toMatch(/^1 run of digits: /);
    expect((await fieldbook(ada.home, ['bundle', 'create', '-r', 'too fast', 'no packages', '-o', chosen])).code).toBe(
      0,
    );
    const grace = emptyFolder('bundle');
    await imported(grace, query);
    const only = await fieldbook(grace, ['ls', '-p', 'digits', '--json']);
    expect(only.json.runs.map(({ status }: { status: string }) => status)).toEqual(['failed']);
    await imported(grace, chosen);
    expect((await fieldbook(grace, ['ls', '-p', 'digits', '--json'])).json.total).toBe(2);

    const torn = join(folder, 'torn.fieldbook');
    writeFileSync(torn, readFileSync(chosen).subarray(0, -1_000));
    const text = join(folder, 'text.fieldbook');
    writeFileSync(text, 'no bundle at all, but long enough for a head');
    const fresh = emptyFolder('bundle');
    for (const [args, code, says] of [
      [['bundle', 'import', torn], 1, /torn\.fieldbook: The bundle is not whole.*Copy it again/],
      [['bundle', 'import', text], 1, /not a Fieldbook bundle.*Nothing was changed/],
      [['bundle', 'import', join(folder, 'none')], 3, /no such file/],
      [['bundle', 'import', folder], 2, /It is a folder/],
      [['bundle', 'import'], 2, /missing required argument/],
      [['bundle', 'create', '-q', 'status:failed'], 2, /say which/],
      [['bundle', 'create', '-p', 'nothing'], 3, /no project nothing/],
      [['bundle', 'create', '-p', 'digits', '--workspace'], 2, /Either/],
      [['bundle', 'create', '-p', 'digits', '-q', 'status ='], 2, /query_syntax/],
      [['bundle', 'create', '-p', 'digits', '-o', chosen], 2, /exists; --force/],
    ] as const) {
      const home = args[1] === 'import' ? fresh : ada.home;
      const ended = await fieldbook(home, [...args]);
      expect([args.join(' '), ended.code, ended.stderr]).toEqual([args.join(' '), code, expect.stringMatching(says)]);
    }
    expect((await fieldbook(fresh, ['ls', '--json'])).json.total).toBe(0);
    const piped = await fieldbook(ada.home, ['bundle', 'create', '-p', 'digits', '-o', '-']);
    expect(piped.stdout.slice(1, 4)).toBe('FBB');
  });
});

describe('bundles over HTTP', () => {
  it('[BND-11] are read by viewers, taken in from members, and never from anybody else', async () => {
    const ada = await examples();
    const file = join(emptyFolder('carried'), 'all.fieldbook');
    await fieldbook(ada.home, ['bundle', 'create', '-o', file]);
    const bytes = readFileSync(file);
    const relay = await new Relay().up();
    const member = await relay.token('member', 'Grace');
    const viewer = await relay.token('viewer', 'Emmy');
    const post = (token: string | null, body: Buffer) =>
      fetch(`${relay.url}/api/v1/bundles`, {
        method: 'POST',
        headers: {
          'content-type': 'application/vnd.fieldbook.bundle',
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        },
        body: new Uint8Array(body),
      });
    expect((await post(null, bytes)).status).toBe(401);
    expect((await post(viewer, bytes)).status).toBe(403);
    const damaged = Buffer.from(bytes);
    damaged[damaged.length >> 1]! ^= 1;
    const refused = await post(member, damaged);
    expect(refused.status).toBe(422);
    expect(((await refused.json()) as { error: object }).error).toMatchObject({
      code: 'bundle_corrupt',
      message: expect.stringContaining('import the bundle again'),
      details: { imported: { refused: [] } },
    });
    expect((await post(member, bytes)).status).toBe(200);
    const again = (await (await post(member, bytes)).json()) as object;
    const described = (await (
      await fetch(`${relay.url}/api/v1/openapi.json`, { headers: { authorization: `Bearer ${viewer}` } })
    ).json()) as object;
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema(described, 'fieldbook');
    const schema = (at: string) => ({ $ref: `fieldbook#/paths/${at}/responses/200/content/application~1json/schema` });
    expect([ajv.validate(schema('~1bundles/post'), again), ajv.errors]).toEqual([true, null]);
    const contents = (await ask(ada, 'GET', '/bundles/contents?project=digits&q=status:failed')).json;
    expect([ajv.validate(schema('~1bundles~1contents/get'), contents), ajv.errors]).toEqual([true, null]);
    expect(again).toMatchObject({ changed: 0, added: 0, blobs: 0, manifest: { runCount: 14 } });
    const theirs = await send(relay.url, 'GET', '/api/v1/projects/digits/digest', {
      headers: { authorization: `Bearer ${viewer}` },
    });
    expect(theirs.json.digest).toBe(await digest(ada));
    const read = await fetch(`${relay.url}/api/v1/bundles?project=digits`, {
      headers: { authorization: `Bearer ${viewer}` },
    });
    expect(read.headers.get('content-disposition')).toMatch(/filename="digits-\d+\.fieldbook"/);
    expect(new Uint8Array(await read.arrayBuffer()).subarray(1, 4)).toEqual(new Uint8Array([0x46, 0x42, 0x42]));
  });
});

describe('sealed and partial bundles', () => {
  it(
    '[BND-16] [BND-18] sealed with a passphrase from a file, opened with it, and unchanged by a wrong one or a flipped byte',
    { timeout: 180_000 },
    async () => {
      const [from, to] = [emptyFolder('from'), emptyFolder('to')];
      const folder = emptyFolder('stick');
      const file = join(folder, 'digits.fieldbook');
      const [right, wrong] = [join(folder, 'right'), join(folder, 'wrong')];
      writeFileSync(right, 'correct horse battery\nsecond line\n');
      writeFileSync(wrong, 'incorrect horse\n');
      await fieldbook(from, ['demo']);
      const made = await fieldbook(from, ['bundle', 'create', '-p', 'digits', '-o', file, '--passphrase-file', right]);
      expect([made.code, made.stderr.includes('horse')]).toEqual([0, false]);
      const bytes = readFileSync(file);
      expect(bytes.includes('digits')).toBe(false);
      const importing = (path: string, ...more: string[]) =>
        fieldbook(to, ['bundle', 'import', path, '--json', ...more]);
      const codeOf = (finished: Awaited<ReturnType<typeof fieldbook>>): string =>
        JSON.parse(finished.stderr.trim().split('\n').at(-1)!).error.code;
      expect(codeOf(await importing(file, '--passphrase-file', wrong))).toBe('bundle_passphrase');
      expect(codeOf(await importing(file))).toBe('invalid_argument');
      const flipped = Buffer.from(bytes);
      flipped[Math.floor(bytes.length * 0.7)]! ^= 4;
      writeFileSync(join(folder, 'flipped'), flipped);
      expect(codeOf(await importing(join(folder, 'flipped'), '--passphrase-file', right))).toBe('bundle_corrupt');
      // A plain one that is damaged in its middle changes nothing either.
      const plain = join(folder, 'plain.fieldbook');
      await fieldbook(from, ['bundle', 'create', '-p', 'digits', '-o', plain]);
      const broken = readFileSync(plain);
      broken[Math.floor(broken.length * 0.7)]! ^= 4;
      writeFileSync(join(folder, 'broken'), broken);
      expect(codeOf(await importing(join(folder, 'broken')))).toBe('bundle_corrupt');
      expect((await fieldbook(to, ['ls', '--json'])).json.total).toBe(0);
      const taken = await importing(file, '--passphrase-file', right);
      const [told] = taken.json.imported;
      // A bundle can list its own maker: known is who was known before.
      expect([taken.code, told.changed > 0, told.signer.known]).toEqual([0, true, false]);
      expect(told.signer.device).toBe(told.manifest.device);
      const again = await fieldbook(to, ['bundle', 'import', file, '--passphrase-file', right]);
      expect(again.stdout).toMatch(
        /everything was here already\.\nSigned by gpu-1 \(d[0-9a-z]{24}\), a device of this workspace/,
      );
      expect((await fieldbook(to, ['ls', '--json'])).json.total).toBe(
        (await fieldbook(from, ['ls', '--json'])).json.total,
      );
    },
  );

  it('[BND-18] a passphrase is typed twice and is not shown', async () => {
    const home = emptyFolder('home');
    const file = join(home, 'typed.fieldbook');
    await fieldbook(home, ['demo']);
    const { command } = pythonForTests();
    const driver = [
      'import os, pty, sys',
      'pid, fd = pty.fork()',
      'if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])',
      'said = b""',
      'answers = [b"Passphrase of the bundle: ", b"Once more: "]',
      'while True:',
      '    try: data = os.read(fd, 1024)',
      '    except OSError: break',
      '    if not data: break',
      '    said += data',
      '    if answers and answers[0] in said: os.write(fd, b"hunter2\\r"); answers.pop(0)',
      'sys.stdout.buffer.write(said)',
      'sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))',
    ].join('\n');
    const program = startCommand(
      command,
      [
        '-c',
        driver,
        process.execPath,
        join(ROOT, 'packages/node-agent/bin/fieldbook.mjs'),
        'bundle',
        'create',
        '--passphrase',
        '-o',
        file,
      ],
      { FIELDBOOK_HOME: home },
    );
    expect((await program.ended).code).toBe(0);
    expect(program.output()).not.toContain('hunter2');
    expect(program.output()).toContain('Wrote');
    const secret = join(home, 'secret');
    writeFileSync(secret, 'hunter2');
    const to = emptyFolder('to');
    expect((await fieldbook(to, ['bundle', 'import', file, '--passphrase-file', secret])).code).toBe(0);
  });

  it(
    '[BND-17] what a peer lacks, and what came since a bundle: with what is there they make the whole, and hold little else',
    { timeout: 180_000 },
    async () => {
      const relay = await new Relay().up();
      const from = await startAgent(emptyFolder('from'));
      const to = emptyFolder('to');
      await fieldbook(from.home, ['demo']);
      const stick = emptyFolder('stick');
      const create = async (
        name: string,
        ...more: string[]
      ): Promise<{ file: string; contents: { documents: number; blobs: number; beyond: unknown } }> => {
        const file = join(stick, name);
        const made = await fieldbook(from.home, ['bundle', 'create', '-o', file, '--json', ...more]);
        expect([unlessSlow(made.stderr), made.code]).toEqual(['', 0]);
        return { file, contents: made.json.contents };
      };
      // A peer that was never met lacks everything.
      const never = await create('never', '--lacking', 'replica:01kf0000000000000000000000');
      const all = await create('all');
      expect(never.contents).toMatchObject({ documents: all.contents.documents, blobs: all.contents.blobs });
      expect(
        (await fieldbook(from.home, ['bundle', 'create', '-o', join(stick, 'x'), '--lacking', 'http://nowhere'])).code,
      ).toBe(3);
      const joined = await ask(from, 'POST', '/join', { url: relay.url, token: await relay.token('member', 'from') });
      expect(joined.status).toBe(200);
      expect((await fieldbook(from.home, ['sync', '--timeout', '30'])).code).toBe(0);
      // Everything is there: nothing is lacking.
      const nothing = await create('nothing', '--lacking', relay.url);
      expect(nothing.contents).toMatchObject({ documents: 0, blobs: 0 });
      await relay.down();
      const [run] = (await ask(from, 'GET', '/projects/digits/runs?limit=1')).json.runs as { id: string }[];
      await ask(from, 'POST', `/runs/${run!.id}/edits`, [{ field: 'tags', op: 'add', value: 'later' }]);
      const lacking = await create('lacking', '--lacking', relay.url);
      expect(lacking.contents).toMatchObject({ documents: 1, blobs: 0, beyond: { kind: 'peer' } });
      const since = await create('since', '--since', all.file);
      // The book, and the workspace, which lists the relay now.
      expect(since.contents).toMatchObject({ documents: 2, blobs: 0, beyond: { kind: 'bundle' } });
      const tags = async (): Promise<string[]> => (await fieldbook(to, ['show', run!.id, '--json'])).json.tags;
      expect((await fieldbook(to, ['bundle', 'import', all.file])).code).toBe(0);
      expect(await tags()).not.toContain('later');
      expect((await fieldbook(to, ['bundle', 'import', since.file])).code).toBe(0);
      expect(await tags()).toContain('later');
      // The relay gets from the stick what it lacked: the machine must not be there first.
      const { status } = await ask(from, 'POST', '/sync/pause', { url: relay.url, paused: true });
      expect(status).toBe(200);
      await relay.up();
      const token = await relay.token('member', 'stick');
      const response = await fetch(`${relay.url}/api/v1/bundles`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/vnd.fieldbook.bundle' },
        body: readFileSync(lacking.file),
      });
      expect([response.status, ((await response.json()) as { changed: number }).changed]).toEqual([200, 1]);
      // Nothing is said to be complete that cannot be.
      const some = await create('some', '-p', 'digits', '-q', 'status == finished');
      const refused = await fieldbook(from.home, ['bundle', 'create', '-o', join(stick, 'y'), '--since', some.file]);
      expect([refused.code === 0, refused.stderr.includes('not of a whole project')]).toEqual([false, true]);
    },
  );
});
