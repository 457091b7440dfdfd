import type { Command } from 'commander';
import { FieldbookError, projectIdOf } from '@fieldbook/core';
import type { Cli } from '../command.ts';
import { printJson, segment, withClient, withJson, withProject } from '../command.ts';
import { plural } from '../format.ts';
import type { FollowShape } from '../shapes.ts';
import { facts } from '../table.ts';

interface Options {
  all?: boolean;
  own?: boolean;
  project?: string[];
  runDocuments?: string;
  json?: boolean;
}

/** `follow`, `pin`, `unpin`: what this machine takes of what others have. */
export function followCommands(program: Command, cli: Cli): void {
  const follow = program
    .command('follow')
    .description('say what this machine takes of what others have, or show it; nothing that is here goes away')
    .option('--all', 'all projects')
    .option('-p, --project <project...>', 'these projects, and books with runs of this machine')
    .option('--own', 'only books with runs of this machine')
    .option('--run-documents <which>', 'what runs recorded: "all", or "on-demand" (pinned, opened and own runs only)');
  withJson(follow).action(async (options: Options) => {
    const projects = projectsOf(options);
    const runDocuments = documentsOf(options.runDocuments);
    await withClient(cli, async (client) => {
      let state = await client.call<FollowShape>('GET', '/follow');
      if (projects !== undefined || runDocuments !== undefined) {
        const body = {
          projects: projects ?? state.projects,
          // Who follows less than everything rarely wants every point of it, and who wants everything does.
          runDocuments: runDocuments ?? (projects === undefined ? state.runDocuments : defaultOf(projects)),
        };
        state = await client.call<FollowShape>('POST', '/follow', { body });
      }
      if (options.json === true) printJson(cli.terminal, state);
      else cli.terminal.out(describe(cli, state));
    });
  });
  for (const [name, pinned, description] of [
    ['pin', true, 'keep what a run recorded on this machine, whatever it follows'],
    ['unpin', false, 'keep it no longer; what is here stays'],
  ] as const) {
    const command = program.command(name).description(description).argument('<run>', 'id, beginning of an id, or name');
    withJson(withProject(command)).action(async (run: string, options: { project?: string; json?: boolean }) => {
      await withClient(cli, async (client) => {
        const answer = await client.call<{ run: string; pinned: boolean }>('POST', `/runs/${segment(run)}/pin`, {
          query: { project: options.project },
          body: { pinned },
        });
        if (options.json === true) printJson(cli.terminal, answer);
        else if (pinned) cli.terminal.out(`${answer.run} is kept here, as soon as who has it can be reached.\n`);
        else cli.terminal.out(`${answer.run} is not pinned any more. What is here of it stays.\n`);
      });
    });
  }
}

function projectsOf({ all, own, project }: Options): FollowShape['projects'] | undefined {
  if ([all, own, project].filter((each) => each !== undefined).length > 1)
    throw new FieldbookError('invalid_argument', 'Give one of --all, --own and --project.');
  if (all === true) return 'all';
  if (own === true) return [];
  return project?.map((name) => projectIdOf(name));
}

function documentsOf(said: string | undefined): FollowShape['runDocuments'] | undefined {
  if (said === undefined || said === 'all' || said === 'on-demand') return said;
  throw new FieldbookError('invalid_argument', `--run-documents is "all" or "on-demand", not ${said}.`);
}

function defaultOf(projects: FollowShape['projects']): FollowShape['runDocuments'] {
  return projects === 'all' ? 'all' : 'on-demand';
}

function describe(cli: Cli, { projects, runDocuments, pinned, elsewhere }: FollowShape): string {
  const away = elsewhere.filter(({ documents }) => documents > 0);
  return facts(cli.terminal, [
    [
      'projects',
      projects === 'all'
        ? 'all'
        : projects.length === 0
          ? 'only books with runs of this machine'
          : `${projects.join(', ')}, and books with runs of this machine`,
    ],
    [
      'runs',
      runDocuments === 'all'
        ? 'everything that runs of those projects recorded'
        : 'what this machine’s runs, pinned runs and opened runs recorded',
    ],
    ['pinned', pinned.length === 0 ? null : pinned.join(', ')],
    [
      'elsewhere',
      away.length === 0
        ? null
        : away.map(({ url, documents }) => `${plural(documents, 'document')} at ${url}`).join(', '),
    ],
  ]);
}
