import type { Command } from 'commander';
import type { Cli } from '../command.ts';
import { printJson, segment, withClient, withJson, withProject } from '../command.ts';
import { formatValue } from '../format.ts';
import type { RunDetailShape } from '../shapes.ts';
import { table } from '../table.ts';

interface Difference {
  what: string;
  left: unknown;
  right: unknown;
}

export function diffCommand(program: Command, cli: Cli): void {
  const command = program
    .command('diff')
    .description('what differs between two runs')
    .argument('<left>', 'id, beginning of an id, or name')
    .argument('<right>', 'id, beginning of an id, or name')
    .option('-a, --all', 'also what is equal');
  withJson(withProject(command)).action(
    async (left: string, right: string, options: { project?: string; json?: boolean; all?: boolean }) => {
      await withClient(cli, async (client) => {
        const query = { project: options.project };
        const a = await client.call<RunDetailShape>('GET', `/runs/${segment(left)}`, { query });
        const b = await client.call<RunDetailShape>('GET', `/runs/${segment(right)}`, { query });
        const lines = differences(a, b, options.all === true);
        if (options.json === true) {
          printJson(cli.terminal, { left: a.id, right: b.id, differences: lines });
          return;
        }
        if (lines.length === 0) {
          cli.terminal.out('no difference\n');
          return;
        }
        cli.terminal.out(
          table(
            cli.terminal,
            [
              { title: '', text: ({ what }) => what },
              { title: a.name, shrink: true, text: (line) => formatValue(line.left) },
              { title: b.name, shrink: true, text: (line) => formatValue(line.right) },
            ],
            lines,
          ),
        );
      });
    },
  );
}

/** Facts, attributes and last values of metrics, in that order, each sorted by name. */
export function differences(a: RunDetailShape, b: RunDetailShape, all: boolean): Difference[] {
  const lines: Difference[] = [];
  const compare = (what: string, left: unknown, right: unknown): void => {
    if (all || JSON.stringify(left ?? null) !== JSON.stringify(right ?? null))
      lines.push({ what, left: left ?? null, right: right ?? null });
  };
  for (const field of ['project', 'status', 'group', 'tags', 'user', 'host'] as const)
    compare(field, a[field], b[field]);
  for (const path of union(a.attributes, b.attributes)) compare(path, a.attributes[path], b.attributes[path]);
  for (const path of union(a.metrics, b.metrics)) {
    for (const part of ['last', 'min', 'max', 'count'] as const)
      compare(`${path}.${part}`, a.metrics[path]?.[part], b.metrics[path]?.[part]);
  }
  return lines;
}

function union(a: object, b: object): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
}
