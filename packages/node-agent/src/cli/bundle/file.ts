import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { FieldbookError } from '@fieldbook/core';

/** Opens a bundle to read. Throws `not_found` with the reason. */
export async function openFile(file: string): Promise<FileHandle> {
  return open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? 'There is no such file.' : `It cannot be read (${error.code}).`;
    throw new FieldbookError('not_found', why, { cause: error });
  });
}
