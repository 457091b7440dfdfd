import { parquetWriteBuffer } from 'hyparquet-writer';
import { SeededRandom } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import { openTable, orderBy } from './index.ts';
import type { Table, TableCell } from './table.ts';

const bytesOf = (bytes: Uint8Array) => {
  const read: [number, number][] = [];
  return {
    size: bytes.length,
    asked: read,
    read: async (start: number, end: number) => (read.push([start, end]), bytes.subarray(start, end)),
  };
};
const textOf = (text: string) => bytesOf(new TextEncoder().encode(text));
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'opened',
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
async function all(table: Table): Promise<TableCell[][]> {
  return table.read(
    Array.from({ length: table.rows }, (_, row) => row),
    table.columns.map((_, index) => index),
  );
}

describe('text tables', () => {
  it('[PRE-6] divides rows and cells as spreadsheets do: quotes, line feeds in them, both line ends, four delimiters, a byte order mark', async () => {
    const cases: readonly [string, string, string[], TableCell[][]][] = [
      [
        'a.csv',
        'a,b\n1,x\n2,"y, ""z"""\n',
        ['a', 'b'],
        [
          ['1', 'x'],
          ['2', 'y, "z"'],
        ],
      ],
      [
        'a.csv',
        '\ufeffa;b\r\n1;"two\r\nlines"\r\n3;\r\n',
        ['a', 'b'],
        [
          ['1', 'two\r\nlines'],
          ['3', null],
        ],
      ],
      ['a.tsv', 'a\tb,c\n1\t2', ['a', 'b,c'], [['1', '2']]],
      ['a.csv', 'a|b\n1|2\n\n\n', ['a', 'b'], [['1', '2']]],
      [
        'a.csv',
        '1,2\n3,4',
        ['column 1', 'column 2'],
        [
          ['1', '2'],
          ['3', '4'],
        ],
      ],
      ['a.csv', 'name\nit is 5" long\nb', ['name'], [['it is 5" long'], ['b']]],
      [
        'a.csv',
        'a,b,c\n1,2\n1,2,3,4',
        ['a', 'b', 'c'],
        [
          ['1', '2', null],
          ['1', '2', '3'],
        ],
      ],
    ];
    for (const [name, text, columns, rows] of cases) {
      const table = await openTable(textOf(text), name);
      expect(
        table.columns.map((column) => column.name),
        text,
      ).toEqual(columns);
      expect(await all(table), text).toEqual(rows);
    }
    expect((await openTable(textOf(''), 'a.csv')).rows).toBe(0);
  });

  it('[PRE-6] says what its columns are and sorts by value: numbers as numbers, empty cells last either way', async () => {
    const table = await openTable(
      textOf('n,t,w\n10,b10,2026-01-02\n9,b9,2026-01-01\n,a,\n-1.5e3,,2025-12-31\n'),
      'a.csv',
    );
    expect(table.columns.map(({ type }) => type)).toEqual(['number', 'text', 'time']);
    const order = async (column: number, descending: boolean): Promise<number[]> => [
      ...orderBy(await table.column(column), descending),
    ];
    expect(await order(0, false)).toEqual([3, 1, 0, 2]);
    expect(await order(0, true)).toEqual([0, 1, 3, 2]);
    expect(await order(1, false)).toEqual([2, 1, 0, 3]);
  });

  it('[PRE-6] a million rows are found once, and a window in the middle is read from them', async () => {
    const rows = 1_000_000;
    const text = `id,value\n${Array.from({ length: rows }, (_, row) => `${row},${row * 2}`).join('\n')}\n`;
    const table = await openTable(textOf(text), 'a.csv');
    expect(table.rows).toBe(rows);
    expect(await table.read([0, 654_321, rows - 1], [1, 0])).toEqual([
      ['0', '0'],
      ['1308642', '654321'],
      ['1999998', '999999'],
    ]);
  });
});

describe('Parquet tables of anybody', () => {
  const rows = 10_000;
  const written = new Uint8Array(
    parquetWriteBuffer({
      rowGroupSize: 1_000,
      columnData: [
        { name: 'id', data: Int32Array.from({ length: rows }, (_, row) => row), type: 'INT32' },
        {
          name: 'big',
          data: Array.from({ length: rows }, (_, row) => BigInt(row) * 10_000_000_000_000n),
          type: 'INT64',
        },
        {
          name: 'label',
          data: Array.from({ length: rows }, (_, row) => (row % 7 === 0 ? null : `row ${row}`)),
          type: 'STRING',
          nullable: true,
        },
        {
          name: 'when',
          data: Array.from({ length: rows }, (_, row) => new Date(1_768_478_400_000 + row * 1000)),
          type: 'TIMESTAMP',
        },
        { name: 'more', data: Array.from({ length: rows }, (_, row) => ({ row })), type: 'JSON' },
      ],
    }),
  );

  it('[PRE-6] reads the row groups and columns that are looked at and no others', async () => {
    const bytes = bytesOf(written);
    const table = await openTable(bytes, 'a.parquet');
    expect(table.rows).toBe(rows);
    expect(table.columns.map(({ name, numeric }) => `${name} ${numeric}`)).toEqual([
      'id true',
      'big true',
      'label false',
      'when false',
      'more false',
    ]);
    bytes.asked.length = 0;
    expect(await table.read([5_004, 5_001], [0, 2, 3])).toEqual([
      [5_004, 'row 5004', '2026-01-15 13:23:24'],
      [5_001, 'row 5001', '2026-01-15 13:23:21'],
    ]);
    const read = bytes.asked.reduce((sum, [start, end]) => sum + end - start, 0);
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(written.length / 10);
    bytes.asked.length = 0;
    // What was decoded is there for the next window.
    await table.read([5_500], [0, 2, 3]);
    expect(bytes.asked).toEqual([]);
    expect(await table.read([7, 9_999], [2, 1, 4])).toEqual([
      [null, 70_000_000_000_000, '{"row":7}'],
      ['row 9999', '99990000000000000', '{"row":9999}'],
    ]);
    expect(Array.from(orderBy(await table.column(3), true)).slice(0, 2)).toEqual([9_999, 9_998]);
  });

  it('[PRE-6] damaged and forged files are refused in words and nothing else is thrown', async () => {
    const random = new SeededRandom(7);
    for (let times = 0; times < 150; times++) {
      const bent = written.slice();
      // Most of it in the footer, where everything is said.
      const from = times % 3 === 0 ? 4 : written.length - 1_500;
      for (let count = 0; count <= random.int(4); count++)
        bent[from + random.int(written.length - from)] = random.int(256);
      const code = await codeOf(
        (async () => {
          const table = await openTable(bytesOf(bent), 'a.parquet');
          if (table.rows > 0)
            await table.read(
              [0, Math.min(table.rows, rows) - 1],
              [0, 2].filter((index) => index < table.columns.length),
            );
        })(),
      );
      expect(['opened', 'invalid_value', 'too_large'], `seed 7, round ${times}`).toContain(code);
    }
    for (const cut of [0, 4, 11, 12, 100, written.length - 9]) {
      const code = await codeOf(openTable(bytesOf(written.slice(0, cut)), 'a.parquet'));
      expect(cut < 4 ? ['opened'] : ['invalid_value', 'too_large'], `cut at ${cut}`).toContain(code);
    }
  });
});

describe('tables that were made to harm', () => {
  const rows = 40_000;
  const written = new Uint8Array(
    parquetWriteBuffer({
      codec: 'UNCOMPRESSED',
      rowGroupSize: rows,
      pageSize: 16_384,
      columnData: [
        { name: 'id', data: Int32Array.from({ length: rows }, (_, row) => row), type: 'INT32', encoding: 'PLAIN' },
        {
          name: 'some',
          data: Array.from({ length: rows }, () => 5),
          type: 'INT32',
          nullable: true,
        },
      ],
    }),
  );

  it('[PRE-22] a run of values that its page does not have is refused before it is decoded', async () => {
    const forged = written.slice();
    // Definition levels: a run of so many ones. Claimed to be of 16,000,000,000 by its five bytes it would be decoded for minutes.
    let changed = 0;
    for (let at = 0; at < forged.length - 6; at++)
      if (forged[at] === 0x01 && forged[at - 1]! < 0x80 && forged[at - 2]! >= 0x80 && forged[at - 3]! < 0x10) {
        forged[at - 1] = 0x7f;
        changed += 1;
      }
    expect(changed).toBeGreaterThan(0);
    const table = await openTable(bytesOf(forged), 'a.parquet');
    expect(await codeOf(table.read([0], [1]))).toBe('invalid_value');
  });

  it('[PRE-23] the first rows of a row group are shown without decoding the rest of it', async () => {
    const bent = written.slice();
    // More than a page near the end of the first column, and so the head of one.
    bent.fill(0xff, 30_000 * 4, 30_000 * 4 + 20_000);
    const whole = await openTable(bytesOf(written), 'a.parquet');
    expect(await whole.read([0, 39_999, 9_999, 10_000], [0, 1])).toEqual([
      [0, 5],
      [39_999, 5],
      [9_999, 5],
      [10_000, 5],
    ]);
    const table = await openTable(bytesOf(bent), 'a.parquet');
    expect(await table.read([0, 199], [0])).toEqual([[0], [199]]);
    expect(await codeOf(table.read([39_999], [0]))).toBe('invalid_value');
    expect(await table.read([9_999], [0])).toEqual([[9_999]]);
  });

  it('[PRE-22] a million columns, ten million empty lines and lists a hundred thousand deep end in words or in less', async () => {
    expect(await codeOf(openTable(textOf(`${'a,'.repeat(1_000_000)}a\n1\n`), 'wide.csv'))).toBe('too_large');
    const lines = await openTable(textOf(`a\n${'\n'.repeat(12_000_000)}b\n`), 'lines.csv');
    expect(lines.rows).toBeLessThanOrEqual(10_000_000);
    expect(lines.note).toMatch(/^The first [\d,]+ rows/);
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const table = await openTable(textOf(`{"columns":["a"],"rows":[[${deep}],[1]]}`), 'deep.json');
    expect(await table.read([0, 1], [0])).toEqual([['nested too deeply to be shown'], [1]]);
    const empty = await openTable(
      textOf(`{"columns":[${'1,'.repeat(9_999)}1],"rows":[${'[],'.repeat(300_000)}[]]}`),
      'empty.json',
    );
    expect([empty.rows, empty.columns.length]).toEqual([300_001, 10_000]);
  }, 30_000);
});

it('[PRE-6] recorded tables show their cells, also those that JSON cannot say; what is no table is refused', async () => {
  const table = await openTable(
    textOf('{"columns":["a","b"],"rows":[[1,{"f":"nan"}],["x",{"t":1768478400000}],[null,[1,2]]]}'),
    'table.json',
  );
  expect(await all(table)).toEqual([
    [1, Number.NaN],
    ['x', '2026-01-15 12:00:00'],
    [null, '[1,2]'],
  ]);
  for (const text of ['{}', '{"columns":[],"rows":[1]}', '{"columns":1'])
    expect(await codeOf(openTable(textOf(text), 'table.json')), text).toBe('invalid_value');
});
