import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fieldbook, startAgent } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { runPython } from '../scaffold/python.ts';

/** Runs Python against a home, on a machine of this name. */
const python = <T>(home: string, script: string, args: readonly string[] = []): Promise<T> =>
  runPython<T>(script, { FIELDBOOK_HOME: home, FIELDBOOK_HOST: 'gpu-1', TZ: 'UTC' }, args);

/** Runs of every kind of end, with every kind of content; some by processes that are killed. */
const RECORD = `
import datetime, math, os, subprocess, sys
import fieldbook

def begin(run_id, **options):
    return fieldbook.init("Read Back", run_id=run_id, capture=False, **options)

with begin("whole", name="first try", tags=["a", "b"], notes="ein Text", group="g", config={"lr": 1e-3, "n": 2**70, "layers": ["x", "y"]}) as run:
    run["odd"] = {"nan": math.nan, "inf": -math.inf, "none": None, "flag": True, "text": "NaN and more"}
    run["when"] = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
    for step in range(120_000):
        run.log({"train/loss": 1 / (step + 1)}, step=step // 2)
    for step, value in [(3, math.nan), (1.5, math.inf), (1.5, -0.0), (-2, 1e-300)]:
        run.log({"odd metric": value, "other": step}, step=step)
    run["says"].extend(["hello", "wörld 🙂"], steps=[5, 2])
    run["page"].append(fieldbook.Html("<b>x</b>", caption="bold"), step=1)
    run["spread"].append(fieldbook.Histogram([1, 2, 2, 3]), step=0)
    run["model"].upload(b"old", name="model.bin")
    run["model"].upload(b"new one", name="model.bin")
    run["gone"].upload(b"x", name="x")
    del run["gone"]
    run._console(1, "one\\ntwo"); run._console(1, "thr", 1); run._console(1, "three"); run._console(2, "left out", 2); run._console(1, "last", 1)

first = begin("resumed", config={"lr": 1, "old": {"x": 1}, "kept": "k"}, tags=["first"])
first["loss"].extend([5.0, 4.0, math.nan], steps=[0, 1, 2])
first._end_with(RuntimeError("no"))
second = begin("resumed", config={"lr": 2}, tags=["second"], notes="again")
del second["params/old"]
second["loss"].extend([3.0, 9.0], steps=[1, 3])
second.finish()

failed = begin("failed")
failed["only/nan"].append(math.nan)
failed._end_with(ValueError("bad"))

child = "import fieldbook, os; run = fieldbook.init('Read Back', run_id='crashed', capture=False); run.log({'x': 1.0}); os._exit(9)"
subprocess.run([sys.executable, "-c", child], env={k: v for k, v in os.environ.items() if k not in ("FIELDBOOK_RUN_ID", "FIELDBOOK_PARENT")})
forking = """
import fieldbook, os
run = fieldbook.init('Read Back', run_id='forked', capture=False)
run.log({'x': 1.0}, step=0)
pid = os.fork()
if pid == 0:
    run.log({'x': 2.0}, step=1); os._exit(0)
os.waitpid(pid, 0); run.finish()
"""
subprocess.run([sys.executable, "-c", forking], env={k: v for k, v in os.environ.items() if k not in ("FIELDBOOK_RUN_ID", "FIELDBOOK_PARENT")}, check=True)
`;

/** Everything that can be read back, as text that tells NaN from a text. */
const READ = `
import hashlib, json, os, sys, tempfile
import fieldbook

def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key != "spool"}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    # JSON knows neither the difference of 1 and 1.0 nor the sign of zero.
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return repr(float(value) + 0.0) if number else value if isinstance(value, (str, bool, type(None))) else str(value)

def rows(attribute):
    try:
        return [plain([r.step, r.time, r.kind, r.text, r.data, r.file, r.meta, r.open, r.gap, r.file and hashlib.sha256(r.read()).hexdigest()]) for r in attribute.rows()]
    except KeyError:
        return None

def one(run):
    series = {}
    for path in run.metrics:
        found = run[path]
        text = repr(plain([found.steps(), found.times(), found.values()]))
        series[path] = [len(found.values()), hashlib.sha256(text.encode()).hexdigest(), text[:200]]
    files = [{key: plain(file[key]) for key in ("version", "path", "name", "size", "kind", "mime", "meta", "current", "at")} for file in run.files()]
    folder = tempfile.mkdtemp()
    bytes_of = {file["path"]: open(run[file["path"]].download(folder + "/"), "rb").read().decode() for file in files if file["current"]}
    paths = ("says", "page", "spread", "console/stdout", "console/stderr", "nothing")
    return {"dict": plain(run.to_dict()), "attributes": plain(run.attributes), "metrics": plain(run.metrics), "tags": list(run.tags),
            "series": series, "files": files, "bytes": bytes_of, "rows": {path: rows(run[path]) for path in paths}}

found = fieldbook.runs("read back")
queries = ["status:failed or status = crashed", "loss.max > 8 and tags has first", "train/loss exists", "params/n ~ /^1180/", "odd/text:nan", "odd/nan = nan", '"odd metric".min missing or x.count = 2', "created > -1h and not duration > 1h", "user exists and host = gpu-1", "resu or again"]
json.dump({"source": found.source, "ids": [run.id for run in found], "runs": {run.id: one(run) for run in found},
           "queries": {query: [run.id for run in fieldbook.runs("read back", query)] for query in queries}}, sys.stdout)
`;

interface Read {
  source: string;
  ids: string[];
  runs: Record<string, { series: Record<string, [number, string, string]>; dict: Record<string, unknown> }>;
  queries: Record<string, string[]>;
}

it('[RDB-13] the same is read from disk, and through the agent that has taken it in', async () => {
  const home = emptyFolder('home');
  await python(home, RECORD);
  const disk = await python<Read>(home, READ);
  expect(disk.source).toBe('disk');
  expect(disk.ids).toEqual(['forked', 'crashed', 'failed', 'resumed', 'whole']);
  expect(disk.runs['whole']!.series['train/loss']![0]).toBe(120_000);
  expect(Object.values(disk.queries).filter((ids) => ids.length === 0)).toEqual([]);
  const agent = await startAgent(home);
  const through = await python<Read>(home, READ);
  expect(through.source).toBe('agent');
  expect({ ...through, source: '' }).toEqual({ ...disk, source: '' });
  await agent.program.stop();
}, 120_000);

it('[RDB-12] a change after the end is an edit where an agent runs, and a writer where none does; both show it', async () => {
  const home = emptyFolder('home');
  await python(
    home,
    `
import fieldbook
run = fieldbook.init("p", run_id="one", config={"lr": 1, "model": {"depth": 1}}, tags=["a", "b"], capture=False)
run._end_with(RuntimeError("no"))
late = fieldbook.run("one")
late["params/lr"] = 2
late.tags.add("disk")
`,
  );
  const agent = await startAgent(home);
  const said = await python<unknown>(
    home,
    `
import datetime, fieldbook, json, math, sys
run = fieldbook.run("one")
before = [run.source, run.status, run["params/lr"].value, list(run.tags)]
run["late"] = {"nan": math.nan, "when": datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc), "words": ["x"], "n": 3}
del run["params/model"]
run.tags.remove("a")
run.tags.add("agent")
again = fieldbook.run("one")
json.dump([before, again.status, sorted(again.attributes), list(again.tags), again["late/when"].value.isoformat(), repr(again["late/nan"].value)], sys.stdout)
`,
  );
  expect(said).toEqual([
    ['agent', 'failed', 2, ['a', 'b', 'disk']],
    'failed',
    ['late/n', 'late/nan', 'late/when', 'late/words', 'params/lr'],
    ['agent', 'b', 'disk'],
    '2026-03-01T00:00:00+00:00',
    'nan',
  ]);
  const shown = (await fieldbook(home, ['show', 'one', '--json'])).json;
  expect(shown).toMatchObject({ status: 'failed', attributes: { 'late/n': 3, 'params/lr': 2 } });
  expect(shown.edited['late/n']).toMatchObject({ by: 'Ada' });
  await agent.program.stop();
});

it('[RDB-3] [RDB-5] mistakes are the same through an agent, and a stranger at its address is not asked', async () => {
  const home = emptyFolder('home');
  await python(
    home,
    `import fieldbook\nfor n in "ab": fieldbook.init("p", run_id=f"run-{n}", name="twin", capture=False).finish()`,
  );
  const agent = await startAgent(home);
  const ask = `
import fieldbook, json, sys
def says(ask):
    try: ask()
    except Exception as error: return [type(error).__name__, str(error)]
json.dump([fieldbook.runs("p").source, says(lambda: fieldbook.runs("q")), says(lambda: fieldbook.runs("p", "lr <")), says(lambda: fieldbook.run("twin")), says(lambda: fieldbook.run("none")),
           says(lambda: fieldbook.run("run-a")["x"].values()), says(lambda: fieldbook.run("run-a")["x"].download("."))], sys.stdout)
`;
  const [source, ...errors] = await python<[string, ...[string, string][]]>(home, ask);
  expect(source).toBe('agent');
  expect(errors.map(([kind]) => kind)).toEqual([
    'ValueError',
    'QueryError',
    'ValueError',
    'ValueError',
    'KeyError',
    'KeyError',
  ]);
  expect(errors[2]![1]).toMatch(/run-a.*run-b|run-b.*run-a/);
  const presence = JSON.parse(readFileSync(join(home, 'agent.json'), 'utf8')) as object;
  writeFileSync(join(home, 'agent.token'), 'of somebody else');
  expect((await python<string[]>(home, ask))[0]).toBe('disk');
  writeFileSync(join(home, 'agent.json'), JSON.stringify({ ...presence, url: 'http://192.0.2.1:80' }));
  expect((await python<string[]>(home, ask))[0]).toBe('disk');
  await agent.program.stop();
});
