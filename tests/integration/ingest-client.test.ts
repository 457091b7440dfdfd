import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlobDigest, DeviceId, ProjectId, RunId } from '@fieldbook/core';
import { runDocumentName } from '@fieldbook/core';
import { RunDocument } from '@fieldbook/core/documents';
import { fileVersions } from '@fieldbook/core/files';
import type { RunState } from '@fieldbook/core/fold';
import { Library } from '@fieldbook/core/library';
import type { PlacedRow } from '@fieldbook/core/objects';
import { ObjectReader } from '@fieldbook/core/objects';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import type { SeriesPoints } from '@fieldbook/core/series';
import { SeriesReader } from '@fieldbook/core/series';
import { levelStorage } from '@fieldbook/core/store';
import { SeededRandom } from '@fieldbook/core/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { FileKeeper, Spools } from '../../packages/node-agent/src/files/index.ts';
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
  const ports = {
    replica,
    blobs: fileBlobs(join(home, 'blobs')),
    device: DEVICE,
    clock: { now: () => Date.now() },
    timers: { after: () => () => undefined },
    log: { debug() {}, info() {}, warn() {}, error() {} },
  };
  ingest = await startIngest({
    ...ports,
    spool: new FileKeeper({
      ...ports,
      spools: new Spools(join(home, 'journals')),
      disk: async () => ({ free: 1e12, total: 1e12 }),
    }),
    home: { journals: join(home, 'journals') },
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

it('[ING-35] shows the texts, images, files, lines and surroundings that the Python client recorded', async () => {
  const script = python(`
import fieldbook, sys
with fieldbook.init("Client", run_id="carries", capture=["console", "environment"]) as run:
    for step in range(3):
        run["samples"].append(fieldbook.Text(f"größe {step}"), step=step)
    run["weights"].append(fieldbook.Histogram([1, 2, 2, 3]))
    run["notes/page"].append(fieldbook.Html("<b>bold</b>"), step=7)
    run["model"].upload(b"weights", name="m.bin")
    run["old"].upload(b"gone")
    del run["old"]
    for line in range(2500):
        print(f"line {line}")
    sys.stderr.write("10 %\\r20 %\\rdone\\n")
`);
  script.stdout!.resume();
  expect(await once(script, 'exit')).toEqual([0, null]);
  expect((await state('carries'))?.status).toBe('finished');
  const entries = await replica.read(runDocumentName('carries' as RunId), (doc) =>
    [...new RunDocument(doc).entries()].map(([, entry]) => entry),
  );
  const reader = new ObjectReader(fileBlobs(join(home, 'blobs')));
  const read = async (path: string): Promise<PlacedRow[]> => (await reader.read({ entries, path, limit: 10_000 })).rows;
  expect((await read('samples')).map(({ step, kind, text }) => [step, kind, text])).toEqual(
    [0, 1, 2].map((step) => [step, 'text', `größe ${step}`]),
  );
  const [weights] = await read('weights');
  expect([weights!.step, weights!.kind, JSON.parse(weights!.text)]).toMatchObject([
    0,
    'histogram',
    { counts: expect.any(Array) },
  ]);
  const [page] = await read('notes/page');
  expect(page).toMatchObject({ step: 7, kind: 'html', size: 11 });
  // Its bytes are durable before its row is.
  expect(await fileBlobs(join(home, 'blobs')).read(page!.digest as BlobDigest)).toEqual(
    new TextEncoder().encode('<b>bold</b>'),
  );
  const lines = (await read('console/stdout')).map(({ text }) => text);
  expect(lines).toEqual(Array.from({ length: 2500 }, (_, line) => `line ${line}`));
  expect((await read('console/stderr')).map(({ text }) => text)).toEqual(['done']);
  const versions = fileVersions(entries.filter((entry) => entry.kind === 'file'));
  expect(versions.filter(({ current }) => current).map(({ entry }) => [entry.path, entry.size])).toEqual(
    expect.arrayContaining([['model', 7]]),
  );
  expect(versions.find(({ entry }) => entry.path === 'old')).toMatchObject({ removed: true, current: false });
  const sections = entries.flatMap((entry) => (entry.kind === 'capture' ? [entry.section] : []));
  expect(sections).toEqual(expect.arrayContaining(['python', 'machine']));
});
