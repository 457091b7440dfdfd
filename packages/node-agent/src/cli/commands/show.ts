import type { Command } from 'commander';
import type { Cli } from '../command.ts';
import { printJson, segment, withClient, withJson, withProject } from '../command.ts';
import { formatAgo, formatBytes, formatDuration, formatTime, formatValue, plural } from '../format.ts';
import type { RunDetailShape } from '../shapes.ts';
import { facts, table } from '../table.ts';
import { paint } from '../terminal.ts';
import { manyLines, oneLine } from '../width.ts';

export function showCommand(program: Command, cli: Cli): void {
  const command = program
    .command('show')
    .description('everything about one run')
    .argument('<run>', 'id, beginning of an id, or name');
  withJson(withProject(command)).action(async (run: string, options: { project?: string; json?: boolean }) => {
    await withClient(cli, async (client) => {
      const detail = await client.call<RunDetailShape>('GET', `/runs/${segment(run)}`, {
        query: { project: options.project },
      });
      if (options.json === true) printJson(cli.terminal, detail);
      else print(cli, detail);
    });
  });
}

function print({ terminal, now }: Cli, run: RunDetailShape): void {
  const title = (text: string): void => terminal.out(`\n${paint(terminal, 'bold', oneLine(text))}\n`);
  const ended = run.ended ?? now();
  terminal.out(`${paint(terminal, 'bold', oneLine(run.name))}${run.star ? ' ★' : ''}\n`);
  terminal.out(
    facts(terminal, [
      ['run', run.id],
      ['project', run.project],
      ['status', run.status],
      ['created', `${formatTime(run.created)}  ${formatAgo(run.created, now())}`],
      ['took', formatDuration(ended - run.created)],
      ['by', [run.user, run.host].filter((part) => part !== null).join(' on ') || null],
      ['group', run.group],
      ['tags', run.tags.length === 0 ? null : run.tags.join(', ')],
      [
        'kept',
        run.segments.count === 0
          ? null
          : `${plural(run.segments.count, 'segment')}, ${formatBytes(run.segments.bytes)}`,
      ],
      ['also at', run.holders.length === 0 ? 'this machine only' : run.holders.join(', ')],
      ['archived', run.archived ? 'yes' : null],
      ['in trash', run.trashed ? 'yes' : null],
    ]),
  );
  for (const conflict of run.conflicts) {
    title(`Conflict: ${conflict.field}`);
    terminal.out(
      facts(
        terminal,
        conflict.sides.map(({ value, by, at }) => [`${by}, ${formatAgo(at, now())}`, formatValue(value)] as const),
      ),
    );
  }
  const attributes = Object.entries(run.attributes);
  if (attributes.length > 0) {
    title('Attributes');
    terminal.out(
      facts(
        terminal,
        attributes.map(([path, value]) => [path, formatValue(value)] as const),
      ),
    );
  }
  const metrics = Object.entries(run.metrics);
  if (metrics.length > 0) {
    title('Metrics');
    terminal.out(
      table(
        terminal,
        [
          { title: 'METRIC', text: ([path]) => path, shrink: true },
          { title: 'LAST', text: ([, metric]) => formatValue(metric.last), right: true },
          { title: 'MIN', text: ([, metric]) => formatValue(metric.min), right: true },
          { title: 'MAX', text: ([, metric]) => formatValue(metric.max), right: true },
          { title: 'STEP', text: ([, metric]) => formatValue(metric.lastStep), right: true },
          { title: 'POINTS', text: ([, metric]) => formatValue(metric.count), right: true },
        ],
        metrics,
      ),
    );
  }
  for (const { traceback, damage, dropped } of run.writers) {
    if (damage !== null) title(`Journal: ${damage}`);
    if (dropped > 0) title(`${plural(dropped, 'record')} dropped by a failing disk`);
    if (traceback === null) continue;
    title('Traceback');
    terminal.out(`${manyLines(traceback)}\n`);
  }
  if (run.notes !== '') {
    title('Notes');
    terminal.out(`${manyLines(run.notes)}\n`);
  }
}
