import { client } from '../../state/client.svelte.ts';
import type { PreviewItem } from '../../worker/files-api.ts';
import { savedName } from './name.ts';

/** Bytes `[start, end)` of what is previewed, verified; the text of one that has no bytes of its own. */
export async function bytesOf(item: PreviewItem, start = 0, end = Infinity): Promise<Uint8Array<ArrayBuffer>> {
  if (item.content !== null)
    return client.worker.contentBytes(item.content, start, Math.min(end, Number.MAX_SAFE_INTEGER));
  const bytes = new TextEncoder().encode(item.text ?? '');
  return bytes.slice(start, Math.min(end, bytes.length));
}

/** Chunks of a download: as large as what files are stored in. */
const CHUNK = 8 * 1024 * 1024;

/**
 * The whole of it as a blob, which the browser may keep on disk; `progress` hears how much is there. Throws what the worker says, and an
 * `AbortError` when `signal` says so.
 */
export async function blobOf(
  item: Pick<PreviewItem, 'content' | 'text'>,
  type: string,
  {
    signal,
    progress,
    each,
    keep = false,
  }: {
    signal?: AbortSignal;
    progress?: (bytes: number) => void;
    each?: (bytes: Uint8Array) => void;
    keep?: boolean;
  } = {},
): Promise<Blob> {
  const { content } = item;
  if (content === null) {
    const bytes = new TextEncoder().encode(item.text ?? '');
    each?.(bytes);
    return new Blob([bytes], { type });
  }
  const parts: Blob[] = [];
  for (let at = 0; ;) {
    signal?.throwIfAborted();
    const chunk = await client.worker.contentChunk(content, at, CHUNK, keep);
    if (chunk === undefined) break;
    each?.(chunk);
    // A blob of its own at once: a large download must not lie in this page's memory.
    parts.push(new Blob([chunk]));
    at += chunk.length;
    progress?.(at);
    if (chunk.length < CHUNK) break;
  }
  return new Blob(parts, { type });
}

/** Hands a blob to the browser's downloads. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = savedName(name);
  link.click();
  // The download has its own hold of the blob once it has begun.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
