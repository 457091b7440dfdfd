import type { DocumentName, ProjectId, RunId } from '@fieldbook/core';
import { describe, expect, it, vi } from 'vitest';
import type { NotesContext } from './notes.ts';
import { Notes } from './notes.ts';
import { OWED } from './owed-notes.ts';

const run = 'run-1' as RunId;
const owed = { project: 'digits' as ProjectId, unsaid: true, unsent: true };

describe('the notes that this browser owes', () => {
  it('[BST-6] are kept again after the browser cleared them, and it is said when they cannot be', async () => {
    const kept = new Map<string, unknown>([[OWED, [[run, owed]]]]);
    let full: Error | null = null;
    const problems: unknown[] = [];
    const notes = new Notes({
      keep: {
        get: async (key: string) => kept.get(key),
        update: async (key: string, change: (before: unknown) => unknown) => {
          if (full !== null) throw full;
          kept.set(key, change(kept.get(key)));
        },
      },
      // The text itself cannot be had.
      shelf: { take: () => ({ loaded: Promise.reject(new Error('no text')) }) },
      onChange: () => undefined,
      onProblem: (error: unknown) => problems.push(error),
    } as unknown as NotesContext);
    await notes.resume();
    expect(notes.unsaved).toBe(1);
    kept.clear();
    // Another tab has one, too.
    const other = ['run-2', owed];
    kept.set(OWED, [other]);
    await notes.keepAgain();
    expect(kept.get(OWED)).toEqual([other, [run, owed]]);

    full = new Error('the disk is full');
    notes.sent(`note/${run}` as DocumentName, 1);
    notes.acked(`note/${run}` as DocumentName, 1);
    await vi.waitFor(() => expect(problems).toEqual([full]));
    full = null;
    await notes.keepAgain();
    expect(kept.get(OWED)).toEqual([other, [run, { ...owed, unsent: false }]]);
  });
});
