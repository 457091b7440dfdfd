import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunId, WriterId } from '@fieldbook/core';
import { compareRows, sealObjects } from '@fieldbook/core/objects';
import type { ObjectRow } from '@fieldbook/core/record';
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
rows = [list(row.values()) for row in file.read().to_pylist()]
types = {field.name: str(field.type) for field in file.schema_arrow}
keys = {key.decode(): value.decode() for key, value in file.metadata.metadata.items() if key.startswith(b"fieldbook.")}
only = len(pq.read_table(path, filters=[("path", "==", "console/stdout")]).to_pylist())`,
  duckdb: `
import duckdb
rows = [list(row) for row in duckdb.sql(f"select * from read_parquet('{path}')").fetchall()]
types = None
keys = {key.decode(): value.decode() for _, key, value in duckdb.sql(f"select * from parquet_kv_metadata('{path}')").fetchall()}
only = duckdb.sql(f"select count(*) from read_parquet('{path}') where path = 'console/stdout'").fetchone()[0]`,
};

it.skipIf(reader === undefined)(
  '[OBJ-1] an object segment is read by pyarrow or DuckDB as it was written',
  async () => {
    const rows: ObjectRow[] = [];
    const base = { time: 1_768_478_400_000, digest: '', size: 0, mime: '', name: '', meta: '' } as const;
    for (let line = 0; line < 12_000; line++) {
      const text = `\u001b[3${line % 8}mepoch ${line}\u001b[0m größe 🙂`;
      rows.push({
        ...base,
        path: 'console/stdout',
        step: line,
        kind: 'text',
        text,
        ordinal: line >> 2,
        part: line & 3,
      });
    }
    for (let step = 0; step < 50; step++) {
      const digest = step.toString(16).padStart(64, '0') as ObjectRow['digest'];
      const file = { digest, size: 5e9 + step, mime: 'image/png', name: `${step}.png`, meta: '{"caption":"∞"}' };
      rows.push({
        ...base,
        path: 'samples/a',
        step: step / 4,
        kind: 'image',
        text: '',
        ...file,
        ordinal: 2 ** 40 + step,
        part: 0,
      });
    }
    const header = { run: 'run-1' as RunId, writer: '01kf0000000000000000000000' as WriterId, first: 0, last: 2 ** 41 };
    const { bytes } = await sealObjects(header, rows);
    const folder = mkdtempSync(join(tmpdir(), 'fieldbook-objects-'));
    try {
      const path = join(folder, 'segment');
      writeFileSync(path, bytes);
      const script = `
import json, sys
path = sys.argv[1]
${READ[reader!.module as keyof typeof READ]}
print(json.dumps([rows, types, keys, only]))`;
      const { stdout, stderr } = spawnSync(reader!.python, ['-c', script, path], {
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      });
      expect(stderr).toBe('');
      const [found, types, keys, only] = JSON.parse(stdout) as [
        unknown[],
        object | null,
        Record<string, string>,
        number,
      ];
      const columns = [
        'path',
        'step',
        'time',
        'kind',
        'text',
        'digest',
        'size',
        'mime',
        'name',
        'meta',
        'ordinal',
        'part',
      ];
      expect(found).toEqual(
        [...rows].sort(compareRows).map((row) => columns.map((column) => row[column as keyof ObjectRow])),
      );
      if (types !== null) {
        const text = ['path', 'kind', 'text', 'digest', 'mime', 'name', 'meta'].map((column) => [column, 'string']);
        const numbers = { step: 'double', time: 'double', size: 'int64', ordinal: 'int64', part: 'int32' };
        expect(types).toEqual({ ...Object.fromEntries(text), ...numbers });
      }
      expect(keys).toMatchObject({
        'fieldbook.objects': '1',
        'fieldbook.run': 'run-1',
        'fieldbook.last': String(2 ** 41),
        'fieldbook.paths': '[["console/stdout",12000],["samples/a",50]]',
      });
      expect(only).toBe(12_000);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
