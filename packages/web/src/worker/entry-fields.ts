import type { FileEntry } from '@fieldbook/core/record';
import type { Content } from './files-api.ts';

/** What is asked for to have an entry's bytes; null where they have been taken away. */
export function contentOf({ digest, chunks, size }: FileEntry): Content | null {
  return digest === null ? null : { digest, chunks, size };
}

/** The object that a record's text is; undefined for any other text. */
export function jsonObject(text: string | null): Record<string, unknown> | undefined {
  if (text === null || text === '') return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
