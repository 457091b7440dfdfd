import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunId, WriterId } from '@fieldbook/core';
import { PointBuffer, sealSegment } from '@fieldbook/core/series';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { pageCompressor } from '../../packages/node-agent/src/machine/ports.ts';
import { emptyFolder } from '../scaffold/folder.ts';

/** Records: enough for both levels. */
const ROWS = 20_000;
const T0 = 1_768_478_400_000;
const LONG = `a/${'long/'.repeat(60)}name`;
const WRITER = '01kf0000000000000000000000' as WriterId;
const COLUMNS = ['metric', 'step', 'time', 'value', 'ordinal'];

/** Pythons that can import a module, with the first that can: pyarrow and DuckDB are in the tests' own environment. */
function pythonWith(module: string): string | undefined {
  const pythons = [process.env['FIELDBOOK_PYTHON'], join(ROOT, '.venv/bin/python'), 'python3'];
  return pythons.find((python) => python !== undefined && spawnSync(python, ['-c', `import ${module}`]).status === 0);
}

/** Reads all rows, the rows of one metric, types, keys, and the bounds of `metric`. */
const READ = {
  pyarrow: `
import pyarrow.parquet as pq
file = pq.ParquetFile(path)
rows = file.read().to_pylist()
types = {field.name: str(field.type) for field in file.schema_arrow}
keys = {key.decode(): value.decode() for key, value in file.metadata.metadata.items() if key.startswith(b"fieldbook.")}
only = pq.read_table(path, filters=[("metric", "==", "b/loss")]).to_pylist()
stats = file.metadata.row_group(0).column(0).statistics
bounds = [stats.min, stats.max]`,
  duckdb: `
import duckdb
columns = ${JSON.stringify(COLUMNS)}
def ask(sql): return duckdb.sql(sql).fetchall()
rows = [dict(zip(columns, row)) for row in ask(f"select * from read_parquet('{path}')")]
names = {"VARCHAR": "string", "DOUBLE": "double", "FLOAT": "float", "BIGINT": "int64"}
types = {row[0]: names[row[1]] for row in ask(f"describe select * from read_parquet('{path}')")}
keys = {key.decode(): value.decode() for _, key, value in ask(f"select * from parquet_kv_metadata('{path}')")}
only = ask(f"select * from read_parquet('{path}') where metric = 'b/loss'")
bounds = list(ask(f"select stats_min_value, stats_max_value from parquet_metadata('{path}') where path_in_schema = 'metric'")[0])`,
};

function python<T>(program: string, script: string, ...args: string[]): T {
  const text = `import json, sys, warnings\nwarnings.simplefilter("ignore")\npath = sys.argv[1]\n${script}`;
  const { stdout, stderr } = spawnSync(program, ['-c', text, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as T;
}

type Value = (metric: number, ordinal: number) => number;
const SINGLES: Value = (metric, ordinal) =>
  metric === 0 ? Math.fround(1 / (1 + ordinal)) : metric === 1 ? Math.fround(Math.sin(ordinal)) : -ordinal;
const DOUBLES: Value = (metric, ordinal) =>
  metric === 0
    ? ordinal % 7 === 0
      ? 0.1
      : 1 / 3
    : metric === 1
      ? Math.sin(ordinal) * 1e-7
      : Math.round(ordinal / 9) / 1e4;

async function write(
  path: string,
  value: Value,
  count = ROWS,
): Promise<{ rows: [string, number, number, number, number][]; levelBytes: number }> {
  const points = new PointBuffer();
  const names = [LONG, 'b/loss', 'größe/🙂'];
  const rows: [string, number, number, number, number][] = [];
  for (let ordinal = 0; ordinal < count; ordinal++) {
    for (const [metric, name] of names.entries()) {
      const point = value(metric, ordinal);
      points.push(metric, ordinal / 4, point, T0 + ordinal, ordinal + 2 ** 31 - 5);
      rows.push([name, ordinal / 4, T0 + ordinal, point, ordinal + 2 ** 31 - 5]);
    }
  }
  const header = { run: 'run-1' as RunId, writer: WRITER, first: 0, last: 2 ** 32 };
  const { bytes, levelBytes } = await sealSegment(header, points.from(0), names, { compressor: pageCompressor });
  writeFileSync(path, bytes);
  return { rows, levelBytes };
}

for (const module of ['pyarrow', 'duckdb'] as const) {
  const program = pythonWith(module);
  describe.skipIf(program === undefined)(`segments in ${module}`, () => {
    it('[SER-2] [SER-11] are read as they were written, whatever their encodings', async () => {
      for (const [name, value] of [['float', SINGLES] as const, ['double', DOUBLES] as const]) {
        const path = join(emptyFolder(), name);
        const { rows: expected } = await write(path, value);
        const script = `${READ[module]}\nprint(json.dumps([[list(row.values()) for row in rows], types, keys, len(only), bounds]))`;
        const [rows, types, keys, only, bounds] = python<[unknown[], object, Record<string, string>, number, string[]]>(
          program!,
          script,
          path,
        );
        const key = (row: unknown): string => JSON.stringify(row);
        expect(rows).toHaveLength(expected.length);
        expect(new Set(rows.map(key))).toEqual(new Set(expected.map(key)));
        expect(types).toEqual({ metric: 'string', step: 'double', time: 'int64', value: name, ordinal: 'int64' });
        const covered = { 'fieldbook.first': '0', 'fieldbook.last': String(2 ** 32) };
        expect(keys).toMatchObject({ 'fieldbook.segment': '2', ...covered });
        expect(only).toBe(ROWS);
        expect(bounds).toEqual([LONG, LONG]);
      }
    });

    it('[SER-12] have levels that are a Parquet file between the bytes that a key names', async () => {
      const path = join(emptyFolder(), 'segment');
      const { levelBytes } = await write(path, SINGLES);
      const show =
        module === 'pyarrow'
          ? `rows = pq.read_table(levels).to_pylist()
answer = [len(rows), sum(row["count"] for row in rows if row["factor"] == 64), min(row["min"] for row in rows if row["factor"] == 4096)]`
          : `answer = list(ask(f"select count(*), sum(count) filter (factor = 64)::bigint, min(min) filter (factor = 4096) from read_parquet('{levels}')")[0])`;
      const script = `${READ[module]}
start, end = json.loads(keys["fieldbook.levels"])
levels = path + ".levels"
open(levels, "wb").write(open(path, "rb").read()[start:end])
${show}
print(json.dumps([end - start, *answer]))`;
      const [size, count, points, least] = python<number[]>(program!, script, path);
      expect([size, points]).toEqual([levelBytes, 3 * ROWS]);
      expect(count).toBe(3 * (Math.ceil(ROWS / 64) + Math.ceil(ROWS / 4096)));
      expect(least).toBe(1 - ROWS);
    });

    it('[SER-2] [SER-19] of both types and of version 1 are read together as the documentation says, and nothing is narrowed', async () => {
      const folder = emptyFolder();
      const paths = ['a', 'b', 'c'].map((name) => join(folder, `${name}.parquet`));
      // The float32 file first: readers that take its types for all would narrow the others.
      await write(paths[0]!, SINGLES, 500);
      const { rows } = await write(paths[1]!, DOUBLES, 500);
      writeFileSync(paths[2]!, readFileSync(join(ROOT, 'tests/golden/segment/v1.parquet')));
      const together =
        module === 'pyarrow'
          ? `import pyarrow as pa, pyarrow.parquet as pq, pyarrow.dataset as ds
files = json.loads(path)
schema = pa.unify_schemas([pq.read_schema(file) for file in files], promote_options="permissive")
values = ds.dataset(files, schema=schema).to_table().column("value").to_pylist()`
          : `import duckdb
values = [row[0] for row in duckdb.sql(f"select value from read_parquet({json.loads(path)}, union_by_name = true)").fetchall()]`;
      const values = python<number[]>(
        program!,
        `${together}\nprint(json.dumps([v for v in values if v == v and abs(v) < 1e9]))`,
        JSON.stringify(paths),
      );
      // One NaN and one infinity of the golden segment are not JSON.
      expect(values).toHaveLength(500 * 3 * 2 + 3);
      const doubles = new Set(values);
      for (const row of rows) expect(doubles.has(row[3])).toBe(true);
      expect(doubles.has(5e-324)).toBe(true);
    });
  });
}
