import type { Command } from 'commander';
import { asFieldbookError, FieldbookError } from '@fieldbook/core';
import type { Home } from '../machine/home.ts';
import type { Client } from './client.ts';
import { exitCodeOf } from './exit.ts';
import type { Terminal } from './terminal.ts';
import { paint, Progress } from './terminal.ts';
import { oneLine } from './width.ts';

/** What every command is given. */
export interface Cli {
  terminal: Terminal;
  env: Readonly<Record<string, string | undefined>>;
  home: Home;
  now(): number;
  /** The running agent, or this machine's store opened for one command. */
  connect(): Promise<Client>;
  /** The running agent; undefined when none runs. */
  connectToAgent(): Promise<Client | undefined>;
  setExitCode(code: number): void;
}

/**
 * Runs `work` with a client and closes it, whatever happens. A person at a terminal sees what a long call does, unless
 * the command tells that itself.
 */
export async function withClient<T>(
  cli: Cli,
  work: (client: Client) => Promise<T>,
  { telling = false }: { telling?: boolean } = {},
): Promise<T> {
  const client = await slowly(cli, 'Opening the field book …', () => cli.connect());
  const call: Client['call'] = (...asked) => slowly(cli, 'Reading the field book …', () => client.call(...asked));
  try {
    return await work(telling ? client : { ...client, call });
  } finally {
    await client.close();
  }
}

async function slowly<T>(cli: Cli, line: string, work: () => Promise<T>): Promise<T> {
  if (!cli.terminal.progress) return work();
  const progress = new Progress(cli.terminal, line);
  try {
    return await work();
  } finally {
    progress.end();
  }
}

export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(`${JSON.stringify(value, null, 2)}\n`);
}

/** Every command can answer in JSON. */
export function withJson(command: Command): Command {
  return command.option('--json', 'answer as JSON, with a stable shape');
}

/** Commands about a run can say in which project it is. */
export function withProject(command: Command): Command {
  return command.option('-p, --project <project>', 'look in this project only');
}

/** Says an error on stderr, in JSON too when that was asked for, and sets the exit code. */
export function report(cli: Pick<Cli, 'terminal' | 'setExitCode'>, thrown: unknown, asJson: boolean): void {
  const error = asFieldbookError(thrown);
  if (asJson) cli.terminal.err(`${JSON.stringify({ error: error.toJSON() })}\n`);
  else cli.terminal.err(describe(cli.terminal, error));
  cli.setExitCode(exitCodeOf(error));
}

function describe(terminal: Terminal, error: FieldbookError): string {
  const lines = [
    `${paint(terminal, 'red', 'error')}: ${oneLine(error.message)} ${paint(terminal, 'dim', `(${error.code})`)}`,
  ];
  const { position, candidates, query } = error.details as {
    position?: unknown;
    query?: unknown;
    candidates?: { project: string; id: string; name: string }[];
  };
  if (typeof position === 'number' && typeof query === 'string') lines.push(`  ${query}`, `  ${' '.repeat(position)}^`);
  for (const { project, id, name } of candidates ?? []) lines.push(`  ${id}  ${oneLine(name)}  in ${project}`);
  return `${lines.join('\n')}\n`;
}

/** A path segment of the API. */
export function segment(text: string): string {
  if (text === '') throw new FieldbookError('invalid_argument', 'The run is empty; give an id or a name.');
  return encodeURIComponent(text);
}
