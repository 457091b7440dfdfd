import { blobOf, save } from '../../../components/preview/load.ts';
import { actions } from '../../../state/actions.svelte.ts';
import type { FileLine } from '../../../worker/files-api.ts';
import { Checksum, Zip } from './zip.ts';

/** The download that is under way: one at a time, with how far it is, until it is done or cancelled. */
export class Downloads {
  current = $state.raw<{ name: string; bytes: number; total: number } | null>(null);
  #controller: AbortController | null = null;

  cancel(): void {
    this.#controller?.abort();
  }

  /** Saves one file under its name, or several as one ZIP file. What cannot be had is told, and nothing is saved. */
  async start(files: readonly FileLine[], zipName: string): Promise<void> {
    const wanted = files.filter(({ content }) => content !== null);
    if (wanted.length === 0 || this.#controller !== null) return;
    const controller = new AbortController();
    this.#controller = controller;
    const total = wanted.reduce((sum, { size }) => sum + (size ?? 0), 0);
    const name = wanted.length === 1 ? wanted[0]!.name : zipName;
    this.current = { name, bytes: 0, total };
    let before = 0;
    const progress = (bytes: number): void => {
      this.current = { name, bytes: before + bytes, total };
    };
    try {
      if (wanted.length === 1) {
        save(
          await blobOf({ content: wanted[0]!.content, text: null }, 'application/octet-stream', {
            signal: controller.signal,
            progress,
          }),
          name,
        );
      } else {
        const zip = new Zip();
        for (const { path, name: own, content, modified, time } of wanted) {
          const checksum = new Checksum();
          const blob = await blobOf({ content, text: null }, '', {
            signal: controller.signal,
            progress,
            each: (bytes) => checksum.add(bytes),
          });
          // A path is often without the extension that the file's own name has.
          const last = path.slice(path.lastIndexOf('/') + 1);
          zip.add(
            last === own
              ? path
              : own.includes('.') && !last.includes('.')
                ? `${path}${own.slice(own.lastIndexOf('.'))}`
                : `${path}/${own}`,
            blob,
            checksum.value,
            modified ?? time,
          );
          before += blob.size;
        }
        save(zip.blob(), name);
      }
      actions.say(`Saved ${name}.`);
    } catch (error) {
      if (controller.signal.aborted) actions.say('Download cancelled.');
      else actions.fail(error);
    } finally {
      this.#controller = null;
      this.current = null;
    }
  }
}
