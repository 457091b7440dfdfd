import type { Command } from 'commander';
import { FieldbookError } from '@fieldbook/core';
import type { Cli } from '../command.ts';
import { printJson, segment, withClient, withJson, withProject } from '../command.ts';
import { formatValue } from '../format.ts';
import type { EditedShape, RunDetailShape } from '../shapes.ts';
import { facts } from '../table.ts';
import type { TypedValue } from '../typed-value.ts';
import { readAssignment } from '../typed-value.ts';

interface Options {
  project?: string;
  json?: boolean;
}

interface AttributeChange {
  field: 'attribute';
  op: 'set' | 'remove' | 'clear';
  path: string;
  value?: TypedValue;
}

/** `set` and `unset`: what people say of a run's attributes, at any time. */
export function attributeCommands(program: Command, cli: Cli): void {
  const set = program
    .command('set')
    .description('set attributes of a run, also long after it ended; what was recorded stays in the history')
    .argument('<run>', 'id, beginning of an id, or name')
    .argument('<path=value...>', 'numbers (also nan, inf), true, false, null, "quoted text", ["a","list"]; else a text')
    .option('--text', 'take every value as a text, as it stands')
    .option('--time', 'take every value as a time: 2026-01-31T12:00:00Z, or ms since 1970');
  withJson(withProject(set)).action(
    async (run: string, words: string[], options: Options & { text?: boolean; time?: boolean }) => {
      if (options.text === true && options.time === true)
        throw new FieldbookError('invalid_argument', 'A value is a text or a time; give --text or --time, not both.');
      const reading = options.text === true ? 'text' : options.time === true ? 'time' : 'typed';
      const changes = words.map((word): AttributeChange => ({
        field: 'attribute',
        op: 'set',
        ...readAssignment(word, reading),
      }));
      await edit(cli, run, options, () => changes);
    },
  );
  const unset = program
    .command('unset')
    .description('take attributes off a run, or with --restore back to what the script said')
    .argument('<run>', 'id, beginning of an id, or name')
    .argument('<path...>', 'an attribute, or a path with everything below it')
    .option('--restore', 'bring back what the script said');
  withJson(withProject(unset)).action(
    async (run: string, paths: string[], options: Options & { restore?: boolean }) => {
      const op = options.restore === true ? 'clear' : 'remove';
      await edit(cli, run, options, (detail) =>
        paths.flatMap((path) =>
          matching(detail, path, op).map((each): AttributeChange => ({ field: 'attribute', op, path: each })),
        ),
      );
    },
  );
}

/** The attributes at a path, or below it when none is there. Throws `not_found`. */
function matching(detail: RunDetailShape, path: string, op: 'remove' | 'clear'): string[] {
  const all = Object.keys(op === 'clear' ? detail.edited : detail.attributes);
  if (all.includes(path)) return [path];
  const below = `${path.replace(/\/+$/, '')}/`;
  const found = all.filter((each) => each.startsWith(below));
  if (found.length === 0) {
    const what = op === 'clear' ? 'no edited attribute' : 'no attribute';
    throw new FieldbookError('not_found', `Run ${detail.id} has ${what} at or below "${path}".`);
  }
  return found;
}

async function edit(
  cli: Cli,
  run: string,
  options: Options,
  changesOf: (detail: RunDetailShape) => readonly AttributeChange[],
): Promise<void> {
  await withClient(cli, async (client) => {
    const path = `/runs/${segment(run)}`;
    const query = { project: options.project };
    const detail = await client.call<RunDetailShape>('GET', path, { query });
    const body = changesOf(detail);
    const { run: after, edits } = await client.call<EditedShape>('POST', `${path}/edits`, { query, body });
    if (options.json === true) return printJson(cli.terminal, after);
    const said = body.map(({ path: at }, index) => {
      const now = Object.hasOwn(after.attributes, at) ? formatValue(after.attributes[at]) : 'not set';
      return [at, edits[index] === null ? `${now} (as before)` : now] as const;
    });
    cli.terminal.out(facts(cli.terminal, said));
  });
}
