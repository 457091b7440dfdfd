import type { Command } from 'commander';
import { FieldbookError } from '@fieldbook/core';
import type { Cli } from '../command.ts';
import { printJson, segment, withClient, withJson, withProject } from '../command.ts';
import type { EditedShape, RunDetailShape } from '../shapes.ts';
import { manyLines, oneLine } from '../width.ts';

interface Options {
  project?: string;
  json?: boolean;
}

interface Change {
  field: string;
  op: 'set' | 'add' | 'remove';
  value: string | boolean | null;
}

export function editCommands(program: Command, cli: Cli): void {
  tagCommand(program, cli);
  noteCommand(program, cli);
  const rename = program
    .command('rename')
    .description('give a run another name; "" brings the script’s own back')
    .argument('<run>', 'id, beginning of an id, or name')
    .argument('<name>', 'the new name');
  withJson(withProject(rename)).action(async (run: string, name: string, options: Options) => {
    await change(
      cli,
      run,
      [{ field: 'name', op: 'set', value: name === '' ? null : name }],
      options,
      (after) => `${after.id} is now called ${oneLine(after.name)}\n`,
    );
  });
}

function tagCommand(program: Command, cli: Cli): void {
  const tag = program
    .command('tag')
    .description('add tags to a run and take tags off it; with none, list them')
    .argument('<run>', 'id, beginning of an id, or name')
    .argument('[tags...]', 'tags to add')
    .option('-r, --remove <tag...>', 'tags to take off');
  withJson(withProject(tag)).action(async (run: string, tags: string[], options: Options & { remove?: string[] }) => {
    const changes: Change[] = [
      ...tags.map((value): Change => ({ field: 'tags', op: 'add', value })),
      ...(options.remove ?? []).map((value): Change => ({ field: 'tags', op: 'remove', value })),
    ];
    await change(cli, run, changes, options, (after) =>
      after.tags.length === 0 ? 'no tags\n' : `${after.tags.map(oneLine).join('\n')}\n`,
    );
  });
}

function noteCommand(program: Command, cli: Cli): void {
  const note = program
    .command('note')
    .description('write a run’s notes (Markdown); without a text, print them')
    .argument('<run>', 'id, beginning of an id, or name')
    .argument('[text]', 'the notes; "-" reads them from stdin, "" empties them')
    .option('-a, --append', 'keep what is there and add a paragraph');
  withJson(withProject(note)).action(
    async (run: string, given: string | undefined, options: Options & { append?: boolean }) => {
      if (given === '-' && cli.terminal.stdinIsTerminal) cli.terminal.err('Type the notes, then Ctrl+D.\n');
      const text = given === '-' ? (await cli.terminal.readStdin()).trimEnd() : given;
      await withClient(cli, async (client) => {
        const path = `/runs/${segment(run)}`;
        const query = { project: options.project };
        let after: { id: string; notes: string } | undefined;
        if (text === undefined || options.append === true)
          after = await client.call<RunDetailShape>('GET', path, { query });
        if (text !== undefined) {
          const value =
            options.append === true && after !== undefined && after.notes !== '' ? `${after.notes}\n\n${text}` : text;
          const body = [{ field: 'notes', op: 'set', value: value === '' ? null : value }];
          after = (await client.call<EditedShape>('POST', `${path}/edits`, { query, body })).run;
        }
        if (options.json === true) printJson(cli.terminal, after);
        else if (text === undefined && after !== undefined && after.notes !== '')
          // A file gets what was written, a terminal nothing that moves its cursor.
          cli.terminal.out(`${cli.terminal.interactive ? manyLines(after.notes) : after.notes}\n`);
      });
    },
  );
}

async function change(
  cli: Cli,
  run: string,
  changes: readonly Change[],
  options: Options,
  say: (after: EditedShape['run']) => string,
): Promise<void> {
  if (run === '') throw new FieldbookError('invalid_argument', 'Give a run’s id or name.');
  await withClient(cli, async (client) => {
    const path = `/runs/${segment(run)}`;
    const query = { project: options.project };
    const after =
      changes.length === 0
        ? await client.call<RunDetailShape>('GET', path, { query })
        : (await client.call<EditedShape>('POST', `${path}/edits`, { query, body: changes })).run;
    if (options.json === true) printJson(cli.terminal, after);
    else cli.terminal.out(say(after));
  });
}
