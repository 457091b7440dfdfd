import type { Command } from 'commander';
import { FieldbookError } from '@fieldbook/core';
import type { Cli } from '../command.ts';

interface Word {
  name: string;
  about: string;
  options: { flag: string; about: string }[];
}

export function completionCommand(program: Command, cli: Cli): void {
  program
    .command('completion')
    .description('print a completion script: source <(fieldbook completion bash)')
    .argument('<shell>', 'bash, zsh or fish')
    .action((shell: string) => {
      const words = program.commands.map(wordOf);
      const scripts: Readonly<Record<string, (words: readonly Word[]) => string>> = { bash, zsh, fish };
      const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
      if (script === undefined)
        throw new FieldbookError(
          'invalid_argument',
          `There is no completion for ${shell}; there is for bash, zsh and fish.`,
        );
      cli.terminal.out(script(words));
    });
}

function wordOf(command: Command): Word {
  const options = command.options.flatMap(({ long, description }) =>
    long == null ? [] : [{ flag: long, about: description }],
  );
  return {
    name: command.name(),
    about: command.description(),
    options: [...options, { flag: '--help', about: 'print help' }],
  };
}

function bash(words: readonly Word[]): string {
  const cases = words
    .map(({ name, options }) => `    ${name}) words="${options.map(({ flag }) => flag).join(' ')}" ;;`)
    .join('\n');
  return `_fieldbook() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${words.map(({ name }) => name).join(' ')} --help --version"
  else
    case "\${COMP_WORDS[1]}" in
${cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _fieldbook fieldbook
`;
}

function zsh(words: readonly Word[]): string {
  const quote = (text: string): string => text.replace(/'/g, `'\\''`).replace(/[[\]:]/g, '\\$&');
  const commands = words.map(({ name, about }) => `    '${name}:${quote(about)}'`).join('\n');
  const cases = words
    .map(
      ({ name, options }) =>
        `    ${name}) _arguments ${options.map(({ flag, about }) => `'${flag}[${quote(about)}]'`).join(' ')} '*: :_files' ;;`,
    )
    .join('\n');
  return `#compdef fieldbook
_fieldbook() {
  local -a commands
  commands=(
${commands}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    return
  fi
  local command="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases}
  esac
}
compdef _fieldbook fieldbook
`;
}

function fish(words: readonly Word[]): string {
  const quote = (text: string): string => text.replace(/\\/g, '\\\\').replace(/'/g, "\\'");
  const lines = ['complete -c fieldbook -f'];
  for (const { name, about, options } of words) {
    lines.push(`complete -c fieldbook -n __fish_use_subcommand -a ${name} -d '${quote(about)}'`);
    for (const { flag, about: what } of options) {
      lines.push(
        `complete -c fieldbook -n '__fish_seen_subcommand_from ${name}' -l ${flag.slice(2)} -d '${quote(what)}'`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}
