import type { Command } from 'commander';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, segment, withClient, withJson, withProject } from '../command.ts';
import type { EditShape, FileShape, ObjectPathShape, PageShape, RunDetailShape, RunShape } from '../shapes.ts';
import { codeSection, commandSection } from '../show/code.ts';
import { followConsole, printConsole, readConsole } from '../show/console.ts';
import {
  attributesSection,
  configSection,
  consoleText,
  dataSection,
  filesSection,
  metricsSection,
  objectsSection,
  paramsSection,
  systemSection,
} from '../show/contents.ts';
import {
  conflictsSection,
  familySection,
  headline,
  historySection,
  notesSection,
  summarySection,
  tracebackSection,
  writersSection,
} from '../show/history.ts';
import { environmentSection, gpuSection, launcherSection, machineSection, variablesSection } from '../show/machine.ts';
import type { Need, Section, Shown } from '../show/section.ts';
import { paint } from '../terminal.ts';

/** Lines that `--console` prints without a number. */
const CONSOLE_LINES = 100;
const CONSOLE_MAX = 1_000_000;
const CHILDREN = 1_000;

const consoleSection: Section = {
  name: 'console',
  title: 'Console',
  needs: ['objects'],
  print: consoleText,
  json: ({ objects }) => objects.filter(({ path }) => path.startsWith('console/')),
};

/** Everything that is known of a run, what a person asks first coming first. */
const SECTIONS: readonly Section[] = [
  summarySection,
  conflictsSection,
  codeSection,
  commandSection,
  paramsSection,
  configSection,
  dataSection,
  attributesSection,
  metricsSection,
  objectsSection,
  filesSection,
  environmentSection,
  machineSection,
  gpuSection,
  launcherSection,
  variablesSection,
  systemSection,
  consoleSection,
  familySection,
  writersSection,
  tracebackSection,
  notesSection,
  historySection,
];

interface Options {
  project?: string;
  json?: boolean;
  section?: string[];
  console?: string | true;
  follow?: boolean;
}

export function showCommand(program: Command, cli: Cli): void {
  const command = program
    .command('show')
    .description(
      'everything about one run: code, parameters, data, environment, machine, metrics, files, console, edits',
    )
    .argument('<run>', 'id, beginning of an id, or name')
    .option('--section <name...>', `only these: ${SECTIONS.map(({ name }) => name).join(', ')}`)
    .option('--console [lines]', `what it printed: the last ${CONSOLE_LINES} lines, or so many`)
    .option('-f, --follow', 'with --console, go on until the run has ended');
  withJson(withProject(command)).action(async (run: string, options: Options) => {
    const sections = sectionsOf(options);
    await withClient(
      cli,
      async (client) => {
        const detail = await client.call<RunDetailShape>('GET', `/runs/${segment(run)}`, {
          query: { project: options.project },
        });
        if (options.console !== undefined) return showConsole(cli, client, detail, options, linesOf(options.console));
        if (options.json === true && options.section === undefined) return printJson(cli.terminal, detail);
        const shown = await gather(client, detail, sections, options.section !== undefined);
        if (options.json === true)
          printJson(cli.terminal, {
            run: detail.id,
            sections: Object.fromEntries(sections.map((section) => [section.name, section.json(shown)])),
          });
        else print(cli, shown, sections);
      },
      { telling: options.follow === true },
    );
  });
}

function sectionsOf({ section: names, console: lines, follow }: Options): readonly Section[] {
  if (follow === true && lines === undefined)
    throw new FieldbookError('invalid_argument', '--follow goes on printing the console; give --console, too.');
  if (names !== undefined && lines !== undefined)
    throw new FieldbookError('invalid_argument', 'Give --section or --console, not both.');
  if (names === undefined) return SECTIONS;
  return names.map((name) => {
    const section = SECTIONS.find((each) => each.name === name);
    if (section !== undefined) return section;
    const known = SECTIONS.map((each) => each.name).join(', ');
    throw new FieldbookError('invalid_argument', `There is no section "${name}"; there are ${known}.`);
  });
}

function linesOf(said: string | true): number {
  if (said === true) return CONSOLE_LINES;
  const count = Number(said);
  if (!Number.isInteger(count) || count < 1 || count > CONSOLE_MAX)
    throw new FieldbookError(
      'invalid_argument',
      `--console takes a number of lines from 1 to ${CONSOLE_MAX}, not ${said}.`,
    );
  return count;
}

async function showConsole(
  cli: Cli,
  client: Client,
  { id }: RunDetailShape,
  { json, follow }: Options,
  count: number,
): Promise<void> {
  if (json === true && follow === true)
    throw new FieldbookError('invalid_argument', 'With --json the answer is one value: it cannot --follow.');
  const lines = await readConsole(client, id, count);
  if (json === true) printJson(cli.terminal, { run: id, ...lines });
  else if (follow === true) await followConsole(cli, client, id, lines);
  else printConsole(cli, lines);
}

/** Asks for what the sections need, and no more. */
async function gather(
  client: Client,
  run: RunDetailShape,
  sections: readonly Section[],
  whole: boolean,
): Promise<Shown> {
  const needs = new Set<Need>(sections.flatMap((section) => section.needs ?? []));
  const path = `/runs/${segment(run.id)}`;
  const query = { project: run.project };
  const shown: Shown = { run, files: [], objects: [], edits: [], parent: null, children: [], whole };
  if (needs.has('files'))
    shown.files = (await client.call<{ files: FileShape[] }>('GET', `${path}/files`, { query })).files;
  if (needs.has('objects'))
    shown.objects = (await client.call<{ paths: ObjectPathShape[] }>('GET', `${path}/objects`, { query })).paths;
  if (needs.has('edits'))
    shown.edits = (await client.call<{ edits: EditShape[] }>('GET', `${path}/history`, { query })).edits;
  if (needs.has('family')) {
    const parent = run.attributes['sys/parent'];
    if (typeof parent === 'string' && parent !== '') shown.parent = await runAt(client, parent, run.project);
    const q = `a:"sys/parent" = ${JSON.stringify(run.id)}`;
    const listed = await client.call<PageShape>('GET', `/projects/${encodeURIComponent(run.project)}/runs`, {
      query: { q, sort: 'created', limit: CHILDREN, columns: '' },
    });
    shown.children = listed.runs;
  }
  return shown;
}

/** A parent may have been purged, or be on a machine that nobody here has heard of. */
async function runAt(client: Client, id: string, project: string): Promise<RunShape | null> {
  try {
    return await client.call<RunDetailShape>('GET', `/runs/${segment(id)}`, { query: { project } });
  } catch (error) {
    if (isFieldbookError(error, 'not_found')) return null;
    throw error;
  }
}

function print(cli: Cli, shown: Shown, sections: readonly Section[]): void {
  const { terminal } = cli;
  if (!shown.whole) terminal.out(headline(shown.run, cli));
  let first = true;
  for (const section of sections) {
    const text = section.print(shown, cli);
    if (text === '' && !shown.whole) continue;
    // The summary needs no title below the run's name.
    if (shown.whole ? sections.length > 1 : section !== summarySection)
      terminal.out(`${first && shown.whole ? '' : '\n'}${paint(terminal, 'bold', section.title)}\n`);
    terminal.out(text === '' ? 'nothing\n' : text);
    first = false;
  }
}
