import { readdirSync, readFileSync } from 'node:fs';
import { join as pathOf } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { fieldbook } from '../fixtures/agent.ts';
import { Machine, Relay } from '../scaffold/machine.ts';
import { enterRoom } from '../fixtures/room.ts';

const TRAIN = `
import sys, fieldbook
for run_id in sys.argv[2:]:
    run = fieldbook.init(sys.argv[1], run_id=run_id)
    for step in range(50):
        run.log({"loss": 1.0 / (step + 1)}, step=step)
    run.finish()
`;

interface Follow {
  projects: 'all' | string[];
  runDocuments: string;
  pinned: string[];
  elsewhere: { url: string; documents: number }[];
}
interface Sync {
  settled: boolean;
  peers: { connected: boolean }[];
}
interface Failure {
  error: { code: string; message: string; details: { peers: { url: string; since: number }[] } };
}
interface Detail {
  tags: string[];
  segments: { count: number };
  elsewhere: { message: string; peers: { url: string; connected: boolean }[] } | null;
}
interface Points {
  total: number;
  error?: { code: string };
}

async function train(machine: Machine, project: string, ...runs: string[]): Promise<void> {
  const script = machine.train('-c', TRAIN, project, ...runs);
  const { code } = await script.ended;
  expect([code, code === 0 ? '' : script.output()]).toEqual([0, '']);
}

const series = (machine: Machine, run: string) =>
  machine.api<Points>('GET', `/runs/${run}/series?metric=loss`).then(({ body }) => body);
const detail = (machine: Machine, run: string) => machine.api<Detail>('GET', `/runs/${run}`).then(({ body }) => body);
const follow = (machine: Machine) => machine.api<Follow>('GET', '/follow').then(({ body }) => body);
const projects = async (machine: Machine): Promise<string[]> =>
  (await machine.api<{ projects: { id: string }[] }>('GET', '/projects')).body.projects.map(({ id }) => id).sort();

/** Documents in the store of a running agent. */
async function documents(machine: Machine): Promise<number> {
  return (await machine.api<{ documents: number }>('GET', '/health')).body.documents;
}

async function started(name: string, projectsOf?: 'all' | string[]): Promise<Machine> {
  const machine = await new Machine(name, name).up();
  if (projectsOf !== undefined) await setFollow(machine, projectsOf);
  return machine;
}

const setFollow = (machine: Machine, ids: 'all' | string[]) =>
  machine.api('POST', '/follow', { projects: ids, runDocuments: ids === 'all' ? 'all' : 'on-demand' });

/** What `fieldbook sync` waits for. */
async function settled(machine: Machine): Promise<void> {
  await machine.api('POST', '/drain', {});
  await vi.waitFor(
    async () => expect((await machine.api<Sync>('GET', '/sync')).body).toMatchObject({ settled: true }),
    { timeout: 20_000, interval: 50 },
  );
}

async function join(machine: Machine, { url }: Relay, token: string): Promise<void> {
  expect((await machine.api('POST', '/join', { url, token })).status).toBe(200);
  await settled(machine);
}

describe('machines that follow some', () => {
  it('[RPL-57] [RPL-58] [RPL-59] a GPU box with its own runs, and a laptop that follows one project on demand and loses the relay', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'team');
    const [desk, box, laptop] = await Promise.all([started('desk'), started('box', []), started('laptop')]);
    const said = await laptop.cli('follow', '-p', 'Vision');
    expect(said).toMatch(/projects +vision, and books with runs of this machine/);
    await Promise.all([train(desk, 'vision', 'v1', 'v2'), train(desk, 'speech', 's1', 's2', 's3')]);
    await settled(desk);
    await join(desk, relay, token);
    await join(box, relay, token);
    await train(box, 'vision', 'box-1');
    await settled(box);
    await settled(desk);
    await join(laptop, relay, token);

    // The box: what it made is at the relay, and of the others it has the book that its run is in.
    expect((await series(desk, 'box-1')).total).toBe(50);
    expect(await projects(box)).toEqual(['vision']);
    await vi.waitFor(async () => expect((await follow(box)).elsewhere).toEqual([{ url: relay.url, documents: 6 }]));
    expect(await documents(box)).toBe(3);
    // An edit that somebody else makes of its run comes.
    await desk.api('POST', '/runs/box-1/edits', [{ field: 'tags', op: 'add', value: 'seen' }]);
    await vi.waitFor(async () => expect((await detail(box, 'box-1')).tags).toEqual(['seen']), { timeout: 10_000 });

    // The laptop: the book of its project, and no document of a run before one is opened.
    expect(await projects(laptop)).toEqual(['vision']);
    expect(await documents(laptop)).toBe(2);
    expect((await series(laptop, 'v1')).total).toBe(50);
    expect(await laptop.cli('show', 'v1')).not.toMatch(/^not here/m);
    expect(await documents(laptop)).toBe(3);
    // It is kept up to date from then on, also in the room of a page.
    const room = enterRoom(laptop.url, 'run/box-1', { token: tokenOf(laptop) });
    await room.until((doc) => doc.getMap('entries').size > 0);
    const before = blobs(laptop);
    await laptop.cli('pin', 'v2');
    await vi.waitFor(() => expect(blobs(laptop)).toBeGreaterThan(before), { timeout: 20_000 });
    await vi.waitFor(async () => expect(await documents(laptop)).toBe(5), { timeout: 10_000 });
    room.provider.destroy();

    // With the relay gone, what is here is here, and the rest is said to be where it is, since when.
    await train(desk, 'vision', 'v3', 'v4');
    await settled(desk);
    await vi.waitFor(async () => expect((await laptop.api<Failure>('GET', '/runs/v4/history')).status).toBe(200), {
      timeout: 10_000,
    });
    await laptop.down();
    await relay.down();
    await laptop.up();
    expect((await series(laptop, 'v2')).total).toBe(50);
    const { status, body } = await laptop.api<Failure>('GET', '/runs/v3/series?metric=loss');
    expect([status, body.error.code]).toEqual([404, 'not_here']);
    expect(body.error.message).toMatch(
      new RegExp(
        `^What run v3 recorded is not on this machine. It is at ${relay.url}, which has not been connected since 20`,
      ),
    );
    expect((await laptop.api<Failure>('GET', '/runs/v3/files')).body.error.code).toBe('not_here');
    expect((await laptop.api<Failure>('GET', '/documents/run/v3')).body.error.code).toBe('not_here');
    expect((await detail(laptop, 'v3')).elsewhere!.peers).toMatchObject([{ url: relay.url, connected: false }]);
    const shown = await fieldbook(laptop.home, ['show', 'v3', '--section', 'summary']);
    expect(shown.stdout).toMatch(new RegExp(`not here +what it recorded is at .*${relay.url}.*, not connected since`));
    const console_ = await fieldbook(laptop.home, ['show', 'v3', '--console']);
    expect([console_.code, console_.stderr]).toEqual([4, expect.stringContaining('is not on this machine')]);

    // It comes back, and so does the run.
    await relay.up();
    await laptop.api('POST', '/sync/retry', {});
    await vi.waitFor(async () => expect((await series(laptop, 'v3')).total).toBe(50), { timeout: 20_000 });
    // Following more takes effect at once and over restarts; following less deletes nothing.
    await setFollow(laptop, 'all');
    await settled(laptop);
    expect(await follow(laptop)).toMatchObject({ projects: 'all', runDocuments: 'all', elsewhere: [{ documents: 0 }] });
    expect(await projects(laptop)).toEqual(['speech', 'vision']);
    const all = await documents(laptop);
    expect(all).toBe(11);
    await setFollow(laptop, []);
    await laptop.down();
    await laptop.up();
    expect(await follow(laptop)).toMatchObject({ projects: [], runDocuments: 'on-demand' });
    expect([await documents(laptop), (await series(laptop, 's3')).total]).toEqual([all, 50]);
  });

  it('[RPL-59] what is no way of following is refused, and by a relay altogether', async () => {
    const machine = await started('machine');
    const { status, body } = await machine.api<Failure>('POST', '/follow', {
      projects: ['No Project'],
      runDocuments: 'all',
    });
    expect([status, body.error.code]).toEqual([400, 'invalid_id']);
    const both = await fieldbook(machine.home, ['follow', '--all', '--own']);
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('--all, --own and --project')]);
    expect(await follow(machine)).toEqual({ projects: 'all', runDocuments: 'all', pinned: [], elsewhere: [] });
    const relay = await new Relay().up();
    const answer = await relay.api<Failure>(await relay.token('member', 'one'), 'GET', '/follow');
    expect([answer.status, answer.body.error.code]).toEqual([501, 'not_supported']);
  });
});

/** Blobs on the disk of a machine. */
function blobs({ home }: Machine): number {
  return readdirSync(pathOf(home, 'blobs'), { recursive: true, withFileTypes: true }).filter((each) => each.isFile())
    .length;
}

function tokenOf({ home }: Machine): string {
  return readFileSync(pathOf(home, 'agent.token'), 'utf8').trim();
}
