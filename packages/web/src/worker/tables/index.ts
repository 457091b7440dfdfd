/** Readers of tables, loaded with the first one. */
import { CsvTable } from './csv-table.ts';
import { JsonTable } from './json-table.ts';
import { ParquetTable } from './parquet-table.ts';
import type { Table, TableBytes } from './table.ts';

export { orderBy } from './table.ts';

/** Bytes of a table as JSON: what `fieldbook.Table` makes of 200,000 rows, and some. */
const JSON_BYTES = 64 * 1024 * 1024;

/** Opens a table by what its bytes are and, of texts, what it is called. Throws what the readers throw. */
export async function openTable(bytes: TableBytes, name: string): Promise<Table> {
  const head = await bytes.read(0, Math.min(4, bytes.size));
  if (new TextDecoder().decode(head) === 'PAR1') return ParquetTable.open(bytes);
  if (head[0] === 0x7b && bytes.size <= JSON_BYTES)
    return new JsonTable(new TextDecoder().decode(await bytes.read(0, bytes.size)));
  return CsvTable.open(bytes, /\.(tsv|tab)$/i.test(name) ? '\t' : null);
}
