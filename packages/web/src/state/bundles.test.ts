import { afterAll, describe, expect, it, vi } from 'vitest';
import type { BundlePreview, SealedBundle } from '../worker/bundle-api.ts';

/** Those who wait for the look into a file, by its name. */
const looks = new Map<string, { see: (preview: BundlePreview | SealedBundle) => void; fail: (error: Error) => void }>();

vi.mock('./client.svelte.ts', () => ({
  client: {
    worker: {
      peekBundle: ({ name }: File) => new Promise((see, fail) => looks.set(name, { see, fail })),
    },
  },
}));
vi.mock('./actions.svelte.ts', () => ({ actions: {} }));
// What is reactive is not looked at here.
vi.stubGlobal('$state', { raw: (value: unknown) => value });
afterAll(() => vi.unstubAllGlobals());

const { bundles } = await import('./bundles.svelte.ts');
const file = (name: string): File => new File(['x'], name);
const preview = (title: string) => ({ title }) as unknown as BundlePreview;

/** Resolves when all that waits for an answer that was given has gone on. */
const heard = () => new Promise((resolve) => setImmediate(resolve));

describe('bundles on their way in', () => {
  it('[BND-14] one that was put aside while it was read comes back neither alone nor over the next', async () => {
    bundles.offer([file('a.fieldbook'), file('b.fieldbook'), file('c.fieldbook')]);
    bundles.close();
    expect(bundles.step).toEqual({ at: 'reading', name: 'b.fieldbook' });
    looks.get('b.fieldbook')!.see(preview('b'));
    await heard();
    expect(bundles.step).toMatchObject({ at: 'shown', preview: { title: 'b' } });
    looks.get('a.fieldbook')!.fail(new Error('It is no bundle.'));
    await heard();
    expect(bundles.step).toMatchObject({ at: 'shown', preview: { title: 'b' } });

    bundles.close();
    bundles.close();
    looks.get('c.fieldbook')!.see(preview('c'));
    await heard();
    expect(bundles.step.at).toBe('idle');
  });

  it('[BND-12] a sealed one asks for its passphrase until that opens it, and what is put aside meanwhile stays so', async () => {
    const sealed = file('s.fieldbook');
    const answer = async (see: BundlePreview | SealedBundle): Promise<void> => {
      looks.get('s.fieldbook')!.see(see);
      await heard();
    };
    bundles.offer([sealed]);
    await answer({ sealed: true, wrong: null });
    expect(bundles.step).toMatchObject({ at: 'sealed', wrong: null, opening: false });
    void bundles.open('no');
    expect(bundles.step).toMatchObject({ at: 'sealed', opening: true });
    await answer({ sealed: true, wrong: 'The passphrase does not open this bundle.' });
    expect(bundles.step).toMatchObject({
      at: 'sealed',
      opening: false,
      wrong: 'The passphrase does not open this bundle.',
    });
    void bundles.open('yes');
    await answer(preview('s'));
    expect(bundles.step).toMatchObject({ at: 'shown', preview: { title: 's' } });
    bundles.close();
    bundles.offer([sealed]);
    await answer({ sealed: true, wrong: null });
    void bundles.open('yes');
    bundles.close();
    await answer(preview('s'));
    expect(bundles.step.at).toBe('idle');
  });
});
