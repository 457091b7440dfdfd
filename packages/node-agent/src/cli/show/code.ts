import { plural } from '../format.ts';
import type { RunDetailShape } from '../shapes.ts';
import { facts } from '../table.ts';
import { paint } from '../terminal.ts';
import { oneLine } from '../width.ts';
import type { Captured, Section } from './section.ts';
import { capturesJson, capturesOf, listOf, numberOf, objectOf, said, words } from './section.ts';

type Lines = (readonly [label: string, value: string | null])[];

const COMMIT = 12;
const FILES_SHOWN = 10;

export const codeSection: Section = {
  name: 'code',
  title: 'Code',
  print: ({ run }, { terminal }) => {
    const git = capturesOf(run, 'git');
    const warnings = git.map(({ data }) => dirtyWarning(data)).filter((warning) => warning !== null);
    return (
      warnings.map((warning) => `${paint(terminal, 'yellow', oneLine(warning))}\n`).join('') +
      facts(terminal, [...git.flatMap(({ data }) => gitLines(data)), ...sourceLines(run)])
    );
  },
  json: ({ run }) => capturesJson(run, 'git', 'code'),
};

function changesOf(data: Captured['data']): { changed: number; untracked: number } {
  return {
    changed: numberOf(data['changed_files']) ?? listOf(data['changed']).length,
    untracked: numberOf(data['untracked_files']) ?? listOf(data['untracked']).length,
  };
}

/** Nobody should take a run for what its commit says when it is not. */
function dirtyWarning(data: Captured['data']): string | null {
  if (data['dirty'] !== true) return null;
  const commit = said(data['commit']);
  const { changed, untracked } = changesOf(data);
  const what = words(
    changed > 0 ? plural(changed, 'changed file') : null,
    untracked > 0 ? plural(untracked, 'untracked file') : null,
  );
  return `DIRTY: not what is committed${commit === null ? '' : ` as ${commit.slice(0, COMMIT)}`}${what === null ? '' : ` (${what})`}`;
}

function gitLines(data: Captured['data']): Lines {
  const ahead = numberOf(data['ahead']);
  const behind = numberOf(data['behind']);
  const names = [
    ...listOf(data['changed']).map((name) => ['changed', said(name)] as const),
    ...listOf(data['untracked']).map((name) => ['untracked', said(name)] as const),
  ];
  const { changed, untracked } = changesOf(data);
  const left = changed + untracked - Math.min(names.length, FILES_SHOWN);
  return [
    ['commit', said(data['commit']) ?? 'none yet'],
    ['message', said(data['message'])],
    ['author', words(said(data['author']), said(data['date']))],
    [
      'branch',
      words(
        data['detached'] === true ? 'detached head' : said(data['branch']),
        ahead !== null && ahead > 0 ? `${ahead} ahead` : null,
        behind !== null && behind > 0 ? `${behind} behind` : null,
      ),
    ],
    ...Object.entries(objectOf(data['remotes'])).map(([name, url]) => [`remote ${name}`, said(url)] as const),
    ['folder', said(data['root'])],
    ...listOf(data['submodules']).map((each) => ['submodule', said(each)] as const),
    ...listOf(data['notes']).map((note) => ['note', said(note)] as const),
    ...(data['dirty'] === true ? names.slice(0, FILES_SHOWN) : []),
    ['', data['dirty'] === true && left > 0 ? `… and ${left} more` : null],
    ['not kept', leftOut(data['untracked_left_out'], 'untracked ')],
  ];
}

/** How many files were not taken, by reason. */
function leftOut(value: unknown, kind = ''): string | null {
  return words(
    ...Object.entries(objectOf(value)).map(([reason, count]) => {
      const files = numberOf(count);
      return files === null ? null : `${plural(files, `${kind}file`)} (${reason})`;
    }),
  );
}

/** What was kept of the sources besides git, and when nothing says more, what the process itself knew of its commit. */
function sourceLines(run: RunDetailShape): Lines {
  const lines: Lines = [];
  for (const { data } of capturesOf(run, 'code')) {
    const kept = numberOf(data['files']);
    lines.push(['entry point', said(data['entry'])]);
    lines.push(['kept', kept === null || kept === 0 ? null : `${plural(kept, 'source file')}, under source/`]);
    lines.push(['left out', leftOut(data['left_out'])]);
    lines.push(['note', said(data['notes'])]);
  }
  if (capturesOf(run, 'git').length === 0) {
    const known = run.writers.map(({ environment }) => objectOf(environment['git'])).find(({ commit }) => commit);
    if (known !== undefined) lines.unshift(['commit', said(known['commit'])], ['branch', said(known['branch'])]);
  }
  return lines;
}

export const commandSection: Section = {
  name: 'command',
  title: 'Command',
  print: ({ run }, { terminal }) => {
    const captured = capturesOf(run, 'command');
    const spoken: Captured[] =
      captured.length > 0
        ? captured
        : run.writers.filter(({ role }) => role === null).map(({ host, environment }) => ({ host, data: environment }));
    return spoken
      .map(({ data, host }) =>
        facts(terminal, [
          ['command', commandLine(data)],
          ['folder', said(data['cwd'])],
          ['on', spoken.length > 1 ? host : null],
          ['launched by', said(data['launcher'])],
          ...Object.entries(objectOf(data['parsed'])).map(
            ([parser, found]) => [parser, parsedText(objectOf(found))] as const,
          ),
        ]),
      )
      .join('');
  },
  json: ({ run }) => capturesJson(run, 'command'),
};

function commandLine(data: Readonly<Record<string, unknown>>): string | null {
  const options = listOf(data['interpreter_options']);
  const argv = listOf(data['argv']);
  const all = [...(options.length > 0 ? ['python', ...options] : []), ...argv].map((word) => quoted(said(word) ?? ''));
  return all.length === 0 ? null : all.join(' ');
}

/** As a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\\\''`)}'`;
}

function parsedText(found: Readonly<Record<string, unknown>>): string | null {
  const given = listOf(found['given']);
  const defaults = listOf(found['defaults']);
  return words(
    given.length > 0 ? `given: ${said(given)}` : null,
    defaults.length > 0 ? `by default: ${said(defaults)}` : null,
  );
}
