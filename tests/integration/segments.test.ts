import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunId, WriterId } from '@fieldbook/core';
import { PointBuffer, sealSegment } from '@fieldbook/core/series';
import { expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';

/** A Python that can import pyarrow or duckdb, if there is one: they are no dependency of ours. */
const reader = [
  process.env['FIELDBOOK_PYTHON'],
  join(ROOT, '.venv/bin/python'),
  join(ROOT, 'bench/.venv/bin/python'),
  'python3',
]
  .filter((python) => python !== undefined)
  .flatMap((python) => ['pyarrow', 'duckdb'].map((module) => ({ python, module })))
  .find(({ python, module }) => spawnSync(python, ['-c', `import ${module}`]).status === 0);

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
columns = ["metric", "step", "time", "value", "ordinal"]
rows = [dict(zip(columns, row)) for row in duckdb.sql(f"select * from read_parquet('{path}')").fetchall()]
types = {}
keys = {key.decode(): value.decode() for _, key, value in duckdb.sql(f"select * from parquet_kv_metadata('{path}')").fetchall()}
only = [dict(zip(columns, row)) for row in duckdb.sql(f"select * from read_parquet('{path}') where metric = 'b/loss'").fetchall()]
bounds = list(duckdb.sql(f"select stats_min_value, stats_max_value from parquet_metadata('{path}') where path_in_schema = 'metric'").fetchall()[0])`,
};

it.skipIf(reader === undefined)('[SER-2] a segment is read by pyarrow or DuckDB as it was written', async () => {
  const points = new PointBuffer();
  const long = `a/${'long/'.repeat(60)}name`;
  const expected: [string, number, number, number, number][] = [];
  for (let ordinal = 0; ordinal < 40_000; ordinal++) {
    for (const [metric, name] of [long, 'b/loss', 'größe/🙂'].entries()) {
      const value = metric === 0 ? Math.fround(1 / (1 + ordinal)) : metric === 1 ? Math.sin(ordinal) * 1e-7 : -ordinal;
      points.push(metric, ordinal / 4, value, 1_768_478_400_000 + ordinal, ordinal + 2 ** 31 - 5);
      expected.push([name, ordinal / 4, 1_768_478_400_000 + ordinal, value, ordinal + 2 ** 31 - 5]);
    }
  }
  const header = { run: 'run-1' as RunId, writer: '01kf0000000000000000000000' as WriterId, first: 0, last: 2 ** 32 };
  const { bytes } = await sealSegment(header, points.from(0), [long, 'b/loss', 'größe/🙂']);
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-segment-'));
  try {
    const path = join(folder, 'segment');
    writeFileSync(path, bytes);
    const script = `
import json, sys
path = sys.argv[1]
${READ[reader!.module as keyof typeof READ]}
print(json.dumps([[list(row.values()) for row in rows], types, keys, len(only), bounds]))`;
    const { stdout, stderr } = spawnSync(reader!.python, ['-c', script, path], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    expect(stderr).toBe('');
    const [rows, types, keys, only, bounds] = JSON.parse(stdout) as [
      unknown[],
      object,
      Record<string, string>,
      number,
      string[],
    ];
    expect(rows).toHaveLength(expected.length);
    const key = (row: unknown): string => JSON.stringify(row);
    expect(new Set(rows.map(key))).toEqual(new Set(expected.map(key)));
    if (reader!.module === 'pyarrow') {
      expect(types).toEqual({ metric: 'string', step: 'double', time: 'double', value: 'double', ordinal: 'int64' });
    }
    expect(keys).toMatchObject({ 'fieldbook.segment': '1', 'fieldbook.first': '0', 'fieldbook.last': String(2 ** 32) });
    expect(only).toBe(40_000);
    expect(bounds).toEqual([long, long]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
