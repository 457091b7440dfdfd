import { describe, expect, it, vi } from 'vitest';
import { finishEditors, hasOpenEditor, registerEditor } from './editors.ts';

/** A page without form fields. */
const page = { querySelectorAll: () => [] } as unknown as ParentNode;

describe('a text that is being written', () => {
  it('[PWA-2] is asked to become an edit, and counts as being written while it has not', async () => {
    let isSaid = false;
    let canSay = false;
    const unregister = registerEditor({
      finish: async () => {
        isSaid = canSay;
      },
      isWriting: () => !isSaid,
    });
    await finishEditors();
    expect(hasOpenEditor(page)).toBe(true);
    canSay = true;
    await finishEditors();
    expect(hasOpenEditor(page)).toBe(false);
    isSaid = false;
    unregister();
    expect(hasOpenEditor(page)).toBe(false);
  });

  it('[PWA-2] holds nobody up that does not answer or fails', async () => {
    vi.useFakeTimers();
    const editors = [
      registerEditor({ finish: () => new Promise(() => undefined), isWriting: () => true }),
      registerEditor({ finish: () => Promise.reject(new Error('gone')), isWriting: () => false }),
    ];
    const finished = finishEditors();
    await vi.advanceTimersByTimeAsync(3_000);
    await finished;
    expect(hasOpenEditor(page)).toBe(true);
    for (const unregister of editors) unregister();
    vi.useRealTimers();
  });
});
