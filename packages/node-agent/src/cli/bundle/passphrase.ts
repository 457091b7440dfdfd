import { readFile } from 'node:fs/promises';
import { FieldbookError } from '@fieldbook/core';
import type { Cli } from '../command.ts';

/** The first line of a file, or what a person types without being seen; never from an argument, which everybody on the machine reads. */
export async function passphraseOf(
  cli: Cli,
  file: string | undefined,
  { twice, of }: { twice: boolean; of: string },
): Promise<string> {
  if (file !== undefined) {
    const text = file === '-' ? await cli.terminal.readStdin() : await readFile(file, 'utf8').catch(unreadable(file));
    const line = text.split(/\r?\n/, 1)[0]!;
    if (line === '')
      throw new FieldbookError(
        'invalid_argument',
        `${file} begins with an empty line; a passphrase has at least one character.`,
      );
    return line;
  }
  if (!cli.terminal.stdinIsTerminal)
    throw new FieldbookError(
      'invalid_argument',
      `A passphrase for ${of} is needed; without a terminal give it with --passphrase-file.`,
    );
  const typed = await cli.terminal.askHidden(`Passphrase of ${of}: `);
  if (typed === '') throw new FieldbookError('invalid_argument', 'A passphrase has at least one character.');
  if (twice && (await cli.terminal.askHidden('Once more: ')) !== typed)
    throw new FieldbookError('invalid_argument', 'The two are not the same. Nothing was written.');
  return typed;
}

function unreadable(file: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    throw new FieldbookError('not_found', `${file} cannot be read (${error.code}).`, { cause: error });
  };
}
