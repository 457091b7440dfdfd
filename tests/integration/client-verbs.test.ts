import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fieldbook, startAgent } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { runPython } from '../scaffold/python.ts';

/** Runs Python against a home, with nothing captured. */
const python = <T>(home: string, script: string): Promise<T> =>
  runPython<T>(script, { FIELDBOOK_HOME: home, FIELDBOOK_CAPTURE: '0' });

const RECORD = `
import os, fieldbook, numpy
picture = numpy.arange(4 * 5 * 3, dtype=numpy.uint8).reshape(4, 5, 3)
run = fieldbook.init("verbs", run_id="verbs")
run.log({"loss": 0.5, "picture": picture, "note": "fine"}, step=7)
run.log({"loss": 0.25})
run["picture"].append([fieldbook.Image(picture, caption="a"), fieldbook.Image(picture, caption="b")])
run["spread"].append(fieldbook.Histogram([1, 2, 2, float("nan")], bins=2))
run["rows"].append(fieldbook.Table([{"id": 1, "p": float("inf")}]))
run["many"].append(fieldbook.Table(columns=["x"], rows=[["y" * 50]] * 3000))
run["tone"].append(fieldbook.Audio([0.0, 0.5], rate=8000))
run["film"].append(fieldbook.Video(numpy.zeros((2, 4, 4), numpy.uint8)))
run["long"].append("é" * 40_000)
run["labels"].add("a/b", "night")
run["model"].upload(b"old", name="m.bin")
run["model"].upload(b"new", name="m.bin", kind="model", meta={"epoch": 3}, travel="never")
run["thing"] = object()
run.define_metric("loss", goal="min", unit="nats")
with run.child(name="fold"):
    pass
run.finish()
late = fieldbook.init("verbs", run_id="verbs")
late["labels"].add("late")
late["labels"].remove("night")
late.finish()
`;

it('[CLT-5] [CLT-7] [CLT-13] what the client recorded is what an agent shows and hands out', async () => {
  const home = emptyFolder('home');
  await python(home, RECORD);
  const agent = await startAgent(home);
  const found = await python<Record<string, unknown>>(
    home,
    `
import fieldbook, hashlib, json, struct, sys
run = fieldbook.run("verbs")
rows = {path: [[r.step, r.kind, (r.meta or {}).get("caption"), r.text if len(r.text or "") < 99 else len(r.text), r.data] for r in run[path].rows()]
        for path in ("picture", "note", "spread", "rows", "tone", "film")}
pictures = [r.read() for r in run["picture"].rows()]
many = json.loads(run["many"].rows()[0].read())
json.dump({
    "source": run.source, "rows": rows, "attributes": run.attributes,
    "same": len(set(pictures)), "png": pictures[0][:4].hex(), "size": struct.unpack(">II", pictures[0][16:24]),
    "many": [many["columns"], len(many["rows"])], "long": run["long"].rows()[0].read().decode() == "é" * 40_000,
    "film": run["film"].rows()[0].read()[:4].hex(),
    "files": [[f["path"], f["name"], f["size"], f["kind"], f["meta"], f["current"]] for f in run.files()],
    "model": open(run["model"].download("${home}/"), "rb").read().decode(),
    "child": [r.name for r in fieldbook.runs("verbs") if r.attributes.get("sys/parent") == "verbs"],
}, sys.stdout)
`,
  );
  expect(found).toMatchObject({
    source: 'agent',
    same: 1,
    png: '89504e47',
    size: [5, 4],
    many: [['x'], 3000],
    long: true,
    film: '89504e47',
    files: [
      ['model', 'm.bin', 3, 'model', { epoch: 3 }, true],
      ['model', 'm.bin', 3, 'file', {}, false],
    ],
    model: 'new',
    child: ['fold'],
    attributes: {
      'labels/a%2Fb': true,
      'labels/late': true,
      'metric/loss/goal': 'min',
      'metric/loss/unit': 'nats',
      'sys/stringified': ['object thing'],
    },
  });
  expect(found['attributes']).not.toHaveProperty('labels/night');
  expect(found['rows']).toEqual({
    picture: [
      [7, 'image', null, null, null],
      [8, 'image', 'a', null, null],
      [8, 'image', 'b', null, null],
    ],
    note: [[7, 'text', null, 'fine', null]],
    spread: [[0, 'histogram', null, null, { edges: [1, 1.5, 2], counts: [1, 2] }]],
    rows: [[0, 'table', null, null, { columns: ['id', 'p'], rows: [[1, { f: 'inf' }]] }]],
    tone: [[0, 'audio', null, null, null]],
    film: [[0, 'video', null, null, null]],
  });
  const shown = (await fieldbook(home, ['show', 'verbs', '--json'])).json;
  expect(shown.metrics['loss']).toMatchObject({ count: 2, last: 0.25, lastStep: 8 });
  await agent.program.stop();
}, 60_000);

it('[CLT-16] a resumed run counts on from what the agent knows when the journals are gone', async () => {
  const home = emptyFolder('home');
  await python(
    home,
    `
import fieldbook
run = fieldbook.init("p", run_id="r")
run.log({"loss": 1}, step=41)
run["model"].upload(b"weights", name="m.bin")
run.finish()
`,
  );
  const agent = await startAgent(home);
  const ready = `
import fieldbook, json, sys
run = fieldbook.run("r")
json.dump([run.source, run.metrics["loss"]["count"], run["model"].download("${home}/before/") != ""], sys.stdout)
`;
  expect(await python(home, ready)).toEqual(['agent', 1, true]);
  for (const writer of readdirSync(join(home, 'journals/p/r'))) {
    rmSync(join(home, 'journals/p/r', writer), { recursive: true });
  }
  const went = await python(
    home,
    `
import fieldbook, json, sys
run = fieldbook.init("p", run_id="r", resume=True)
run.log({"loss": 2})
path = run["model"].download("${home}/after/")
run.finish()
json.dump([open(path).read(), fieldbook.run("r")["loss"].steps()], sys.stdout)
`,
  );
  expect(went).toEqual(['weights', [41, 42]]);
  await agent.program.stop();
}, 60_000);
