import type { NamedReport, RunsUsage } from './report.ts';

const KINDS: Readonly<Record<string, string>> = {
  workspace: 'workspace',
  books: 'books: cards and edits',
  runs: 'run documents',
  notes: 'notes',
  log: 'log for repair',
  replaced: 'documents put aside',
  private: 'state of this program',
  feed: 'feed',
  head: 'head',
};

type Row = readonly [label: string, bytes: number, more?: string];

/** A report for people: one line each, aligned. `inBytes` says a number of bytes in words. */
export function storageLines(report: NamedReport, inBytes: (bytes: number) => string): string[] {
  const { store, blobs, folders, projects, runs, disk, unreadable } = report;
  const parts = ({ documents, points, objects, files }: RunsUsage): string =>
    `documents ${inBytes(documents)}, points ${inBytes(points)}, objects ${inBytes(objects)}, files ${inBytes(files)}`;
  const sections: (readonly [title: string, rows: readonly Row[]])[] = [
    [
      'Disk',
      [
        ['everything here', report.bytes],
        ['free', disk.free, `of ${inBytes(disk.total)}`],
      ],
    ],
    [
      'Store',
      [
        ['on disk', store.bytes, `${store.files} files`],
        ['read from it', store.live],
        ...store.kinds
          .filter(({ bytes }) => bytes > 0)
          .map(({ kind, count, bytes }): Row => [`  ${KINDS[kind] ?? kind}`, bytes, String(count)]),
      ],
    ],
    [
      'Blobs',
      [
        ['all', blobs.bytes, String(blobs.count)],
        ...(['points', 'objects', 'files'] as const).map((kind): Row => [
          `  ${kind}`,
          blobs[kind].bytes,
          String(blobs[kind].count),
        ]),
        ['  named by no run', blobs.unnamed.bytes, String(blobs.unnamed.count)],
        ['    of these to be removed', blobs.waiting.bytes, String(blobs.waiting.count)],
        ['named by several runs', blobs.shared.bytes, String(blobs.shared.count)],
      ],
    ],
    ['Other files', folders.map(({ name, bytes, files }): Row => [name, bytes, `${files} files`])],
    [
      'Projects',
      projects.map((usage): Row => [usage.project ?? '(no card)', usage.bytes, `${usage.runs} runs: ${parts(usage)}`]),
    ],
    [
      'Largest runs',
      runs.map((usage): Row => [
        [usage.run, usage.name?.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ') ?? ''].join(' ').trim(),
        usage.bytes,
        `${usage.project ?? '(no card)'}: ${parts(usage)}`,
      ]),
    ],
  ];
  const lines: string[] = [];
  for (const [title, rows] of sections) {
    if (rows.length === 0) continue;
    const width = Math.max(...rows.map(([label]) => label.length));
    const sizes = Math.max(...rows.map(([, bytes]) => inBytes(bytes).length));
    lines.push(title);
    for (const [label, bytes, more = ''] of rows)
      lines.push(`  ${label.padEnd(width)}  ${inBytes(bytes).padStart(sizes)}  ${more}`.trimEnd());
  }
  if (unreadable > 0)
    lines.push(
      `${unreadable} parts of run documents are damaged or of a newer version, and may name blobs that count as named by no run.`,
    );
  return lines;
}
