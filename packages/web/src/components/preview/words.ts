import { bytes } from '../../app/format.ts';
import type { FileLine, PreviewItem } from '../../worker/files-api.ts';

/** Why bytes cannot be shown, and what to do; null when they may well be had. */
export function absentWords(item: Pick<PreviewItem, 'file' | 'content' | 'text'>): string | null {
  const { file, content, text } = item;
  if (content !== null || text !== null) return null;
  if (file === null) return 'Nothing was recorded of it.';
  if (file.failure !== null) return `Its bytes could not be stored: ${file.failure}.`;
  if (file.source !== null) return `Only its place is known: ${file.source}`;
  return `Its bytes wait on ${file.machine} to be stored; they appear when its agent has run.`;
}

/** What an error of the worker means for who looks at a file. */
export function problemWords(error: unknown, item: Pick<PreviewItem, 'file'>): string {
  const { name, message } = error as Error;
  if (name === 'blob_missing')
    return item.file === null
      ? 'Its bytes are not here: the machine that recorded them has not sent them yet.'
      : `Its bytes are not here: they are on ${whereElse(item.file)}.`;
  if (name === 'peer_unreachable') return 'Nobody answers, and this browser has not kept it.';
  return message;
}

export function whereElse(file: Pick<FileLine, 'machine' | 'holders'>): string {
  const others = file.holders.filter((name) => name !== file.machine);
  return others.length === 0 ? file.machine : `${others.join(', ')} and perhaps ${file.machine}`;
}

export function sizeWords(size: number | null): string {
  return size === null ? 'size unknown' : bytes(size);
}
