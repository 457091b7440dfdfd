import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeviceId, ProjectId, RunId } from '@fieldbook/core';
import { runDocumentName } from '@fieldbook/core';
import { RunDocument } from '@fieldbook/core/documents';
import type { RunState } from '@fieldbook/core/fold';
import { Library } from '@fieldbook/core/library';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import type { SeriesPoints } from '@fieldbook/core/series';
import { SeriesReader } from '@fieldbook/core/series';
import { levelStorage } from '@fieldbook/core/store';
import { SeededRandom } from '@fieldbook/core/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import type { Ingest } from '../../packages/node-agent/src/ingest/index.ts';
import { startIngest } from '../../packages/node-agent/src/ingest/index.ts';
import { fileBlobs } from '../../packages/node-agent/src/machine/blobs.ts';
import { openLevel } from '../../packages/node-agent/src/machine/store.ts';

const DEVICE = 'd000000000000000000000001' as DeviceId;
let home: string;
let replica: Replica;
let ingest: Ingest;
let library: Library;

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'fieldbook-client-'));
  const storage = levelStorage(await openLevel(join(home, 'store')));
  replica = await openReplica({ storage, device: DEVICE, random: new SeededRandom(Date.now()) });
  library = await Library.open(replica);
  ingest = await startIngest({
    replica,
    blobs: fileBlobs(join(home, 'blobs')),
    home: { journals: join(home, 'journals') },
    clock: { now: () => Date.now() },
    timers: { after: () => () => undefined },
    device: DEVICE,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    watch: false,
  });
});

afterEach(async () => {
  library.close();
  await ingest.close();
  await replica.close();
  rmSync(home, { recursive: true, force: true });
});

function python(script: string): ChildProcess {
  return spawn('python3', ['-c', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, FIELDBOOK_HOME: home, PYTHONPATH: join(ROOT, 'packages/python-client/src') },
  });
}

async function state(run: string): Promise<RunState | undefined> {
  await ingest.drain();
  return await library.run('client' as ProjectId, run as RunId);
}

async function points(run: string, metric: string): Promise<SeriesPoints> {
  const entries = await replica.read(runDocumentName(run as RunId), (doc) =>
    [...new RunDocument(doc).entries()].map(([, entry]) => entry),
  );
  return (await new SeriesReader(fileBlobs(join(home, 'blobs'))).read({ entries, metric })).points!;
}

it('[ING-21] shows what the Python client logged, and how the script ended', async () => {
  const script = python(`
import fieldbook
with fieldbook.init("Client", run_id="whole", name="first try", tags=["a"], config={"lr": 1e-3, "opt": {"name": "adam"}}, group="g", notes="n") as run:
    run["data/train"] = "train.parquet"
    for step in range(3000):
        run.log({"train/loss": 1 / (step + 1), "acc": float("nan") if step == 7 else step}, step=step)
    run["auto"].append(5.0)
    run["auto"].append(6.0)
    run.tags.add("b")
    run.tags.remove("a")
`);
  expect(await once(script, 'exit')).toEqual([0, null]);
  expect(await state('whole')).toMatchObject({
    status: 'finished',
    name: 'first try',
    group: 'g',
    notes: 'n',
    tags: ['b'],
    project: 'client',
  });
  const run = (await state('whole'))!;
  expect(Object.fromEntries(run.attributes)).toMatchObject({ 'data/train': 'train.parquet' });
  expect([...run.attributes.values()]).toEqual(expect.arrayContaining([1e-3, 'adam']));
  expect(run.metrics.get('acc' as never)).toMatchObject({ count: 3000, nonFinite: 1, last: 2999, max: 2999 });
  const loss = await points('whole', 'train/loss');
  expect(loss.values).toEqual(Float64Array.from({ length: 3000 }, (_, step) => 1 / (step + 1)));
  expect((await points('whole', 'acc')).values[7]).toBeNaN();
  expect([...(await points('whole', 'auto')).steps]).toEqual([0, 1]);
});

it('[ING-21] shows a script as running while it lives, and as crashed with all its points after kill -9', async () => {
  const script = python(`
import fieldbook, sys
run = fieldbook.init("Client", run_id="killed")
for step in range(500):
    run.log({"loss": step}, step=step)
print("logged", flush=True)
sys.stdin.read()
`);
  await once(script.stdout!, 'data');
  expect((await state('killed'))?.status).toBe('running');
  expect(await points('killed', 'loss')).toHaveProperty('steps.length', 500);
  const exit = once(script, 'exit');
  script.kill('SIGKILL');
  await exit;
  expect((await state('killed'))?.status).toBe('crashed');
  expect([...(await points('killed', 'loss')).values]).toEqual(Array.from({ length: 500 }, (_, step) => step));
});
