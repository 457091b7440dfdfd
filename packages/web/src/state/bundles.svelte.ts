import * as Comlink from 'comlink';
import type { BundleOutcome, BundlePreview, BundleProgress } from '../worker/bundle-api.ts';
import { actions } from './actions.svelte.ts';
import { client } from './client.svelte.ts';

export type BundleStep =
  | { at: 'idle' }
  | { at: 'reading'; name: string }
  /** Sealed: `wrong` says why the last passphrase did not open it. */
  | { at: 'sealed'; file: File; wrong: string | null; opening: boolean }
  | { at: 'shown'; file: File; preview: BundlePreview }
  | { at: 'importing'; file: File; preview: BundlePreview; progress: BundleProgress; stopping: boolean }
  | { at: 'done'; name: string; preview: BundlePreview; outcome: BundleOutcome }
  | { at: 'failed'; name: string; words: string };

/** Bundles on their way in: shown first, taken in when the person says so, one after the other. */
class Bundles {
  step = $state.raw<BundleStep>({ at: 'idle' });
  /** Files dropped together that wait for their turn. */
  waiting = $state.raw<readonly File[]>([]);

  /** Looks into files that were dropped or chosen. */
  offer(files: readonly File[]): void {
    const named = files.filter(({ name, size }) => size > 0 || name.endsWith('.fieldbook'));
    if (named.length === 0) {
      actions.say(
        'That is no file. Drop a bundle: a file that “fieldbook bundle create” or Sync has made.',
        null,
        true,
      );
      return;
    }
    this.waiting = [...this.waiting, ...named];
    if (this.step.at === 'idle') void this.#next();
  }

  /** Opens a sealed bundle with what somebody typed, which is kept nowhere. */
  async open(passphrase: string): Promise<void> {
    if (this.step.at !== 'sealed' || this.step.opening) return;
    const { file } = this.step;
    const opening: BundleStep = { at: 'sealed', file, wrong: null, opening: true };
    this.step = opening;
    const seen = await this.#look(file, passphrase);
    if (this.step === opening) this.step = seen;
  }

  async import(): Promise<void> {
    if (this.step.at !== 'shown') return;
    const { file, preview } = this.step;
    this.step = { at: 'importing', file, preview, progress: { bytes: 0, size: preview.size }, stopping: false };
    try {
      const outcome = await client.worker.importBundle(
        preview.plain ?? file,
        Comlink.proxy((progress: BundleProgress) => {
          if (this.step.at === 'importing') this.step = { ...this.step, progress };
        }),
      );
      this.step = { at: 'done', name: file.name, preview, outcome };
    } catch (error) {
      this.step = { at: 'failed', name: file.name, words: error instanceof Error ? error.message : String(error) };
    }
  }

  stop(): void {
    if (this.step.at !== 'importing') return;
    this.step = { ...this.step, stopping: true };
    void client.worker.cancelBundle();
  }

  /** Puts this one aside, and looks into the next. */
  close(): void {
    if (this.step.at === 'importing') return;
    this.step = { at: 'idle' };
    void this.#next();
  }

  async #next(): Promise<void> {
    const [file, ...rest] = this.waiting;
    if (file === undefined) return;
    this.waiting = rest;
    const reading: BundleStep = { at: 'reading', name: file.name };
    this.step = reading;
    const seen = await this.#look(file, null);
    // Put aside meanwhile, it does not come back, nor over the next one.
    if (this.step === reading) this.step = seen;
  }

  async #look(file: File, passphrase: string | null): Promise<BundleStep> {
    try {
      const preview = await client.worker.peekBundle(file, passphrase);
      return 'sealed' in preview
        ? { at: 'sealed', file, wrong: preview.wrong, opening: false }
        : { at: 'shown', file, preview };
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      return { at: 'failed', name: file.name, words };
    }
  }
}

export const bundles = new Bundles();
