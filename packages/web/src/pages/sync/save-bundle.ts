import * as Comlink from 'comlink';
import { client } from '../../state/client.svelte.ts';
import type { BundleWhich } from '../../worker/bundle-api.ts';

interface Progress {
  bytes: number;
  about: number;
}

interface FilePicker {
  showSaveFilePicker?(options: object): Promise<{
    createWritable(): Promise<{
      write(bytes: Uint8Array): Promise<void>;
      close(): Promise<void>;
      abort(): Promise<void>;
    }>;
    name: string;
  }>;
}

/**
 * Makes a bundle and saves it: into the file that the person chooses, piece by piece, where the browser has such a dialog; else as a
 * download that is collected first. Resolves null when nothing was chosen or it was stopped.
 */
export function saveBundle(
  which: BundleWhich,
  tell: (progress: Progress) => void,
): { done: Promise<{ name: string; size: number } | null>; cancel: () => void } {
  let stopped = false;
  const cancel = (): void => {
    stopped = true;
    void client.worker.stopExport();
  };
  const work = async (): Promise<{ name: string; size: number } | null> => {
    const suggestedName = `${which.project ?? 'fieldbook'}-${new Date().toISOString().slice(0, 10)}.fieldbook`;
    const picker = window as unknown as FilePicker;
    const handle =
      picker.showSaveFilePicker === undefined || navigator.webdriver
        ? null
        : await picker.showSaveFilePicker({ suggestedName }).catch((error: unknown) => {
            if ((error as Error).name === 'AbortError') return 'none' as const;
            throw error;
          });
    if (handle === 'none') return null;
    const parts: Uint8Array<ArrayBuffer>[] = [];
    const file = await handle?.createWritable();
    let size = 0;
    try {
      await client.worker.exportBundle(
        which,
        Comlink.proxy(async (piece: Uint8Array<ArrayBuffer>, about: number) => {
          if (file === undefined) parts.push(piece);
          else await file.write(piece);
          size += piece.length;
          tell({ bytes: size, about });
        }),
      );
      await file?.close();
    } catch (error) {
      await file?.abort().catch(() => undefined);
      if (stopped) return null;
      throw error;
    }
    if (handle !== null) return { name: handle.name, size };
    const address = URL.createObjectURL(new Blob(parts, { type: 'application/vnd.fieldbook.bundle' }));
    const link = document.createElement('a');
    link.href = address;
    link.download = suggestedName;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    return { name: suggestedName, size };
  };
  return { done: work(), cancel };
}
