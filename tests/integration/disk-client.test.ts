import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Fault } from '../fixtures/faulty-disk.ts';
import { FaultyDisk, whyNoFaultyDisk } from '../fixtures/faulty-disk.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { LONG } from '../scaffold/mode.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests, runPython } from '../scaffold/python.ts';

const impossible = whyNoFaultyDisk();
if (impossible !== undefined) console.warn(`Scripts on a disk that fails are not tested: ${impossible}.`);

/** Logs a point a turn and says so when the call has returned; every tenth time an attribute, a tag and a file, too. */
const SCRIPT = `
import os, sys, time
import fieldbook
from fieldbook import writer

writer.RETRY_MS, writer.RETRY_LIMIT_MS = 5.0, 20.0
stop, file = sys.argv[1:]
run = fieldbook.init("faults", run_id="run-1", config={"lr": 0.5}, capture=False)
step = 0
while not os.path.exists(stop):
    run.log({"x": step}, step=step)
    if step % 10 == 0:
        run[f"a/{step}"] = step
        run.tags.add(f"t{step}")
        run[f"f/{step}"].upload(file)
    step += 1
    print("logged", step, flush=True)
    time.sleep(0.001)
run.finish()
print("ended", flush=True)
`;

/** What the journals say, each of them read to its end. */
const READ = `
import json, os, sys
from fieldbook import journal, journal_reader

folder = os.path.join(os.environ["FIELDBOOK_HOME"], "journals", "faults", "run-1")
found = [journal_reader.read(open(os.path.join(folder, name), "rb").read()) for name in sorted(os.listdir(folder)) if name.endswith(".fbj")]
files = [file for one in found for file in one.of(journal.FILE)]
print(json.dumps({
    "states": [one.state for one in found],
    "values": [value for one in found for value in one.values("x")],
    "gaps": [[gap["reason"], gap["points"]] for one in found for gap in one.of(journal.GAP)],
    "attributes": {key: value for one in found for key, value in one.attributes().items()},
    "tags": [tag for one in found for tags in one.of(journal.TAGS) for tag in tags["add"]],
    "files": {file["path"]: file.get("lost") for file in files},
    "kept": sorted(file["path"] for file in files if file["spool"] and os.path.exists(os.path.join(folder, found[0].writer + ".files", file["spool"]))),
    "closed": [close["dropped"] for one in found for close in one.of(journal.CLOSE)],
}))
`;

interface Found {
  states: string[];
  values: number[];
  gaps: [reason: string, points: number][];
  attributes: Record<string, unknown>;
  tags: string[];
  files: Record<string, string | null>;
  kept: string[];
  closed: number[];
}

/** How a disk fails under a script; the first is there before it begins. */
const FAULTS: readonly (readonly Fault[])[] = [
  [['create', 'EIO', '/journals']],
  [['torn', 'EIO', '/journals/']],
  // Not even the half of a record can be taken back.
  [
    ['torn', 'EIO', '/journals/'],
    ['cut', 'EIO', '/journals/'],
  ],
  [['write', 'EIO', '/journals/']],
  [
    ['write', 'EIO', '/journals/'],
    ['cut', 'EIO', '/journals/'],
    ['create', 'EIO', '/journals/'],
  ],
  [['rename', 'EIO', '/journals/']],
  [['open', 'EMFILE', '/journals/']],
];

it.skipIf(impossible !== undefined)(
  '[PRF-15] a disk that fails never breaks a script: what was returned from is in the journal, or a gap says how much is missing',
  async () => {
    const disk = new FaultyDisk();
    const home = emptyFolder('script');
    const { command, env } = pythonForTests();
    const [stop, file] = [join(home, 'stop'), join(home, 'file.bin')];
    writeFileSync(file, 'bytes of a file');
    disk.fails(...FAULTS[0]!);
    const script = startCommand(command, ['-c', SCRIPT, stop, file], { ...env, ...disk.env, FIELDBOOK_HOME: home });
    let steps = 0;
    /** Until so many more calls have returned; gives the first and the last. */
    const more = async (count: number): Promise<[number, number]> => {
      const from = Number([...script.output().matchAll(/logged (\d+)\n/g)].at(-1)?.[1] ?? 0);
      await script.says(new RegExp(`logged ${from + count}\\n`));
      steps = from + count;
      return [from, steps];
    };
    const healthy: [number, number][] = [];
    for (const [index, faults] of FAULTS.entries()) {
      if (!LONG && index > 2) break;
      disk.fails(...faults);
      await more(index === 0 ? 30 : 60);
      disk.heals();
      // The disk is tried again within 20 ms.
      await more(40);
      healthy.push(await more(20));
    }
    writeFileSync(stop, '');
    await script.says(/ended/);
    expect((await script.ended).code).toBe(0);
    const logged = Number([...script.output().matchAll(/logged (\d+)\n/g)].at(-1)![1]);
    expect(script.output()).toMatch(/fieldbook: cannot write to .*Input\/output error/);

    const found = await runPython<Found>(READ, { FIELDBOOK_HOME: home });
    const there = new Set(found.values);
    expect(there.size).toBe(found.values.length);
    for (const [from, to] of healthy)
      for (let step = from; step < to; step++) expect([step, there.has(step)]).toEqual([step, true]);
    const missing = found.gaps.reduce((sum, [, points]) => sum + points, 0);
    expect([found.values.length + missing, found.closed]).toEqual([logged, [missing]]);
    expect(missing).toBeGreaterThan(0);
    // Attributes, tags and what became of files wait for the disk.
    const tenths = Array.from({ length: Math.ceil(logged / 10) }, (_, n) => n * 10);
    for (const step of tenths)
      expect([step, found.attributes[`a/${step}`], found.tags.includes(`t${step}`)]).toEqual([step, step, true]);
    expect(found.attributes['params/lr']).toBe(0.5);
    expect(Object.keys(found.files)).toHaveLength(tenths.length);
    // A file is whole in the spool, or said to be lost.
    const lost = Object.entries(found.files).flatMap(([path, why]) =>
      why === null || why === undefined ? [] : [path],
    );
    expect([...found.kept, ...lost].toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
      Object.keys(found.files).toSorted((a, b) => (a < b ? -1 : 1)),
    );
    expect(lost.length).toBeGreaterThan(0);
  },
  60_000,
);
