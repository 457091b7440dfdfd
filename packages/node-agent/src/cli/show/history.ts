import { constants } from 'node:os';
import type { Cli } from '../command.ts';
import { formatAgo, formatDuration, formatTime, formatValue, plural } from '../format.ts';
import type { EditShape, ElsewhereShape, RunDetailShape, RunShape } from '../shapes.ts';
import { facts, table } from '../table.ts';
import { paint } from '../terminal.ts';
import { manyLines, oneLine } from '../width.ts';
import { formatBytes } from '../format.ts';
import type { Section, Shown } from './section.ts';
import { said } from './section.ts';

const EDITS = 20;

export const summarySection: Section = {
  name: 'summary',
  title: 'Summary',
  print: ({ run }, { terminal, now }) => {
    const ended = run.ended ?? now();
    return facts(terminal, [
      ['run', run.id],
      ['project', run.project],
      ['status', statusText(run)],
      ['created', `${formatTime(run.created)}  ${formatAgo(run.created, now())}`],
      [run.ended === null ? 'running for' : 'took', formatDuration(ended - run.created)],
      ['by', [run.user, run.host].filter((part) => part !== null).join(' on ') || null],
      ['group', run.group],
      ['tags', run.tags.length === 0 ? null : run.tags.join(', ')],
      [
        'kept',
        run.segments.count === 0
          ? null
          : `${plural(run.segments.count, 'segment')}, ${formatBytes(run.segments.bytes)}`,
      ],
      run.elsewhere === null
        ? ['also at', run.holders.length === 0 ? 'this machine only' : run.holders.join(', ')]
        : ['not here', whereIn(run.elsewhere.peers, now())],
      ['archived', run.archived ? 'yes' : null],
      ['in trash', run.trashed ? 'yes' : null],
    ]);
  },
  json: ({ run }) => {
    const { captures: _captures, attributes: _attributes, metrics: _metrics, writers: _writers, ...rest } = run;
    return rest;
  },
};

/** Where what a run recorded is, and since when that cannot be reached. */
function whereIn(peers: ElsewhereShape['peers'], now: number): string {
  const where = peers.map(({ url, name, connected, since }) => {
    const at = name === null ? url : `${name} (${url})`;
    if (connected) return `${at}, which did not answer in time`;
    return since === null ? at : `${at}, not connected since ${formatAgo(since, now)}`;
  });
  return `what it recorded is at ${where.join(', and at ')}`;
}

/** How it ended: an exit code of 0 is what everybody expects. */
function statusText({ status, writers }: RunDetailShape): string {
  const own = writers.filter(({ role }) => role === null);
  const code = own.flatMap(({ exitCode }) => exitCode ?? []).findLast((each) => each !== 0);
  const signal = own.flatMap((writer) => writer.signal ?? []).at(-1);
  const reason = own.flatMap((writer) => writer.reason ?? []).at(-1);
  return [
    status,
    code === undefined ? null : `exit code ${code}`,
    signal === undefined ? null : (signalName(signal) ?? `signal ${signal}`),
    reason === undefined || status !== 'preempted' ? null : oneLine(reason),
  ]
    .filter((part) => part !== null)
    .join(', ');
}

/** The name of a signal's number on this system. */
function signalName(number: number): string | undefined {
  return Object.entries(constants.signals).find(([, each]) => each === number)?.[0];
}

export const conflictsSection: Section = {
  name: 'conflicts',
  title: 'Conflicts',
  print: ({ run }, { terminal, now }) =>
    run.conflicts
      .map(({ field, sides }) => {
        const lines = sides.map(({ op, value, by, at }) => {
          const what = op === 'remove' ? 'taken off' : op === 'clear' ? 'as the script said' : formatValue(value);
          return [`${by}, ${formatAgo(at, now())}`, what] as const;
        });
        return `${paint(terminal, 'yellow', oneLine(field))}\n${facts(terminal, lines)}`;
      })
      .join(''),
  json: ({ run }) => run.conflicts,
};

/** Writers of which there is something to tell: where there are several, each; else what went wrong. */
export const writersSection: Section = {
  name: 'writers',
  title: 'Writers',
  print: ({ run, whole }, { terminal }) => {
    const own = run.writers.filter(({ role }) => role === null);
    const listed = whole ? run.writers : own.length > 1 ? own : [];
    const columns = [
      { title: 'WRITER', text: ({ writer }: RunDetailShape['writers'][number]) => writer },
      { title: 'ROLE', text: ({ role }: RunDetailShape['writers'][number]) => role ?? 'script' },
      { title: 'STATUS', text: ({ status }: RunDetailShape['writers'][number]) => status },
      { title: 'EXIT', text: ({ exitCode }: RunDetailShape['writers'][number]) => said(exitCode) ?? '–', right: true },
      { title: 'STARTED', text: ({ created }: RunDetailShape['writers'][number]) => formatTime(created) },
      { title: 'HOST', text: ({ host }: RunDetailShape['writers'][number]) => host ?? '–', shrink: true },
    ];
    const parts = listed.length === 0 ? [] : [table(terminal, columns, listed)];
    for (const { writer, damage, dropped } of run.writers) {
      const lines = [
        ['journal', damage],
        ['dropped', dropped > 0 ? `${plural(dropped, 'record')} by a failing disk` : null],
      ] as const;
      if (damage !== null || dropped > 0) parts.push(`${paint(terminal, 'red', writer)}\n${facts(terminal, lines)}`);
    }
    return parts.join('');
  },
  json: ({ run }) => run.writers,
};

export const tracebackSection: Section = {
  name: 'traceback',
  title: 'Traceback',
  print: ({ run }) =>
    run.writers.flatMap(({ traceback }) => (traceback === null ? [] : [`${manyLines(traceback)}\n`])).join('\n'),
  json: ({ run }) =>
    run.writers.flatMap(({ writer, traceback }) => (traceback === null ? [] : [{ writer, traceback }])),
};

export const notesSection: Section = {
  name: 'notes',
  title: 'Notes',
  print: ({ run }) => (run.notes === '' ? '' : `${manyLines(run.notes)}\n`),
  json: ({ run }) => run.notes,
};

export const familySection: Section = {
  name: 'family',
  title: 'Parent and children',
  needs: ['family'],
  print: ({ parent, children }, cli) => {
    const line = (role: string, run: RunShape): readonly [string, string, string, string] => [
      role,
      run.name,
      run.status,
      run.id,
    ];
    const lines = [
      ...(parent === null ? [] : [line('parent', parent)]),
      ...children.map((child) => line('child', child)),
    ];
    if (lines.length === 0) return '';
    const columns = ['', 'NAME', 'STATUS', 'RUN'].map((title, index) => ({
      title,
      text: (cells: readonly string[]) => cells[index]!,
      shrink: index === 1,
    }));
    return table(cli.terminal, columns, lines);
  },
  json: ({ parent, children }) => ({ parent, children }),
};

export const historySection: Section = {
  name: 'history',
  title: 'Edits',
  needs: ['edits'],
  print: (shown, cli) => {
    const { edits, whole, run } = shown;
    const listed = whole ? edits : edits.slice(-EDITS);
    const left = edits.length - listed.length;
    const columns = [
      { title: 'WHEN', text: ({ at }: EditShape) => formatAgo(at, cli.now()) },
      { title: 'BY', text: ({ by }: EditShape) => by || 'somebody' },
      { title: 'WHAT', text: editText, shrink: true },
    ];
    if (listed.length === 0) return '';
    const before = left > 0 ? `${plural(left, 'older edit')}: fieldbook show ${run.id} --section history\n` : '';
    return before + table(cli.terminal, columns, listed);
  },
  json: ({ edits }: Shown) => edits,
};

function editText({ field, op, path, value }: EditShape): string {
  const shown = formatValue(value);
  switch (field) {
    case 'attribute':
      if (op === 'set') return `set ${path} = ${shown}`;
      return op === 'remove' ? `took ${path} off` : op === 'clear' ? `restored ${path}` : `changed ${path}`;
    case 'tags':
      return op === 'add' ? `added the tag ${shown}` : `took the tag ${shown} off`;
    case 'notes':
      return value === null || value === '' ? 'emptied the notes' : 'wrote the notes';
    case 'name':
    case 'group':
      return value === null ? `took the ${field} away` : `set the ${field} to ${shown}`;
    case 'request':
      return `asked for the file ${shown.slice(0, 12)}`;
    case 'purge':
      return 'purged it';
    default:
      return value === true ? `${field} on` : `${field} off`;
  }
}

/** The line above everything. */
export function headline(run: RunDetailShape, { terminal }: Cli): string {
  return `${paint(terminal, 'bold', oneLine(run.name))}${run.star ? ' ★' : ''}\n`;
}
