import type { Command } from 'commander';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, withClient, withJson } from '../command.ts';
import { formatAgo, formatDuration, formatValue, plural } from '../format.ts';
import type { PageShape, ProjectShape, RunShape } from '../shapes.ts';
import type { Column } from '../table.ts';
import { table } from '../table.ts';
import type { Style } from '../terminal.ts';
import { paint } from '../terminal.ts';
import { oneLine } from '../width.ts';

interface Options {
  project?: string;
  sort: string;
  columns?: string;
  limit: string;
  json?: boolean;
}

const PAGE = 500;

export function listCommand(program: Command, cli: Cli): void {
  const command = program
    .command('ls')
    .alias('list')
    .description('runs that match a query, the newest first')
    .argument('[query...]', 'as in docs/query.md: status:running and params/lr < 0.01')
    .option('-p, --project <project>', 'runs of this project only')
    .option('-s, --sort <columns>', '`-` before a column means descending', '-created')
    .option('-c, --columns <columns>', 'attributes and metrics to show: params/lr,val/loss.min')
    .option('-n, --limit <count>', 'at most so many runs of each project', '50');
  withJson(command).action(async (words: string[], options: Options) => {
    await withClient(cli, (client) => list(cli, client, words.join(' '), options));
  });
}

async function list(cli: Cli, client: Client, q: string, options: Options): Promise<void> {
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1)
    throw new FieldbookError('invalid_argument', '--limit must be a whole number of 1 or more.');
  // Said once, and also where no project would notice.
  if (q !== '') await parsed(client, q);
  const { projects } = await client.call<{ projects: ProjectShape[] }>('GET', '/projects');
  const chosen = projects.filter(
    ({ id, title }) => options.project === undefined || id === options.project || title === options.project,
  );
  if (chosen.length === 0 && options.project !== undefined) {
    throw new FieldbookError('not_found', `There is no project "${options.project}" here.`, {
      details: { projects: projects.map(({ id }) => id) },
    });
  }
  const listed = [];
  for (const project of chosen)
    listed.push({ project, ...(await naming(q, pages(cli, client, project.id, q, options, limit))) });
  if (options.json === true) {
    const total = listed.reduce((sum, { total: count }) => sum + count, 0);
    printJson(cli.terminal, { query: q, total, runs: listed.flatMap(({ runs }) => runs) });
    return;
  }
  print(cli, listed, q, options);
  if (q === '' && listed.every(({ total }) => total === 0)) await sayWhatIsMissing(cli, client);
}

/** "No runs" must not hide runs that could not be taken in. */
async function sayWhatIsMissing(cli: Cli, client: Client): Promise<void> {
  const health = await client.call<{ journals: { problems: object[] } | null }>('GET', '/health');
  const count = health.journals?.problems.length ?? 0;
  if (count > 0) cli.terminal.err(`${plural(count, 'problem')} with journals; "fieldbook doctor" says more.\n`);
}

async function parsed(client: Client, q: string): Promise<void> {
  await naming(q, client.call('GET', '/query/parse', { query: { q } }));
}

/** Errors about a query carry its text, so that the place can be shown. */
async function naming<T>(q: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isFieldbookError(error, 'query_syntax') || isFieldbookError(error, 'query_type')) {
      throw new FieldbookError(error.code, error.message, { details: { ...error.details, query: q } });
    }
    throw error;
  }
}

async function pages(
  cli: Cli,
  client: Client,
  project: string,
  q: string,
  options: Options,
  limit: number,
): Promise<{ total: number; unknown: string[]; runs: RunShape[] }> {
  const runs: RunShape[] = [];
  let cursor: string | undefined;
  for (;;) {
    const query = {
      q,
      sort: options.sort,
      columns: options.columns,
      limit: Math.min(PAGE, limit - runs.length),
      cursor,
      // Dates of a query are those of the person who types it.
      zone: -new Date(cli.now()).getTimezoneOffset(),
    };
    const page = await client.call<PageShape>('GET', `/projects/${encodeURIComponent(project)}/runs`, { query });
    runs.push(...page.runs);
    if (page.next === null || runs.length >= limit) return { total: page.total, unknown: page.unknown, runs };
    cursor = page.next;
  }
}

function print(
  cli: Cli,
  listed: readonly { project: ProjectShape; total: number; unknown: string[]; runs: RunShape[] }[],
  q: string,
  options: Options,
): void {
  const { terminal } = cli;
  const withRuns = listed.filter(({ total }) => total > 0);
  for (const path of listed[0]?.unknown ?? []) {
    if (listed.every(({ unknown }) => unknown.includes(path))) terminal.err(`No run has ${oneLine(path)}.\n`);
  }
  if (withRuns.length === 0) {
    terminal.err(
      q === '' ? 'No runs yet. Log one with the Python client, or try "fieldbook demo".\n' : 'No run matches.\n',
    );
    return;
  }
  for (const [index, { project, total, runs }] of withRuns.entries()) {
    if (index > 0) terminal.out('\n');
    if (listed.length > 1)
      terminal.out(
        `${paint(terminal, 'bold', oneLine(project.title))} ${paint(terminal, 'dim', plural(total, 'run'))}\n`,
      );
    terminal.out(table(terminal, columnsOf(cli, options.columns), runs));
    if (runs.length < total) terminal.err(`${runs.length} of ${total} shown; more with --limit.\n`);
  }
}

const STATUS_STYLE: Readonly<Record<string, Style>> = {
  running: 'green',
  failed: 'red',
  crashed: 'red',
  lost: 'yellow',
};

function columnsOf(cli: Cli, asked: string | undefined): Column<RunShape>[] {
  const { terminal } = cli;
  const extra = (asked ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return [
    { title: 'RUN', text: ({ id }) => id },
    { title: 'NAME', shrink: true, text: ({ name, unnamed, star }) => `${star ? '★ ' : ''}${unnamed ? '–' : name}` },
    {
      title: 'STATUS',
      text: ({ status }) => status,
      style: ({ status }, text) =>
        STATUS_STYLE[status] === undefined ? text : paint(terminal, STATUS_STYLE[status], text),
    },
    { title: 'CREATED', text: ({ created }) => formatAgo(created, cli.now()), right: true },
    { title: 'TOOK', text: ({ created, ended }) => formatDuration((ended ?? cli.now()) - created), right: true },
    ...extra.map((name): Column<RunShape> => ({
      title: name,
      right: true,
      text: ({ values }) => formatValue(values?.[name]),
    })),
    { title: 'TAGS', shrink: true, text: ({ tags }) => tags.join(', ') },
  ];
}
