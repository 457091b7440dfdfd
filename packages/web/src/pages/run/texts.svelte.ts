import { client } from '../../state/client.svelte.ts';
import type { FileLine } from '../../worker/files-api.ts';

/** More of a text is downloaded, not read on a page. */
const TEXT_BYTES = 8 * 1024 * 1024;

export type FileText =
  | { state: 'loading' }
  | { state: 'there'; text: string; cut: boolean }
  /** Why not, in words. */
  | { state: 'absent'; why: string };

/** Reads a stored file as text. Never rejects: what is not to be had says why. */
export async function textOf(file: FileLine): Promise<FileText> {
  const { content } = file;
  if (content === null)
    return {
      state: 'absent',
      why:
        file.failure ??
        (file.source === null
          ? 'Its bytes are still on their way into the store of the machine that ran it.'
          : `Only named, not kept: it lies at ${file.source}.`),
    };
  try {
    const bytes = await client.worker.contentBytes(content, 0, TEXT_BYTES);
    // A zero byte is in no source file.
    if (bytes.subarray(0, 8_000).includes(0))
      return { state: 'absent', why: 'This file is not a text. Files has it for download.' };
    return {
      state: 'there',
      text: new TextDecoder().decode(bytes),
      cut: (content.size ?? bytes.length) > bytes.length,
    };
  } catch (error) {
    const code = error instanceof Error ? error.name : '';
    const why =
      code === 'peer_unreachable'
        ? 'Not read in this browser before, and no server answers.'
        : code === 'blob_missing'
          ? `Its bytes are on ${file.machine}, and not on the server that answers here.`
          : error instanceof Error
            ? error.message
            : String(error);
    return { state: 'absent', why };
  }
}
