import type { DeviceId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import type { Session } from '../worker/api.ts';
import { syncWords } from './syncwords.ts';

const session = (change: Partial<Session>): Session => ({
  connection: { state: 'online' },
  server: { kind: 'relay', name: 'relay', version: '1', workspace: null },
  device: { id: 'd' as DeviceId, name: 'Chrome' },
  person: 'Ada',
  suggestedPerson: null,
  hasToken: true,
  refusal: null,
  unsaved: 0,
  books: { listed: 0, loaded: 0 },
  storage: { problem: null, notice: null, persisted: null, usage: null, quota: null },
  carried: { documents: 0, blobs: 0, problem: null },
  ...change,
});

describe('the words of the sync mark', () => {
  it('[WEB-1] never say saved while an edit is not acknowledged', () => {
    expect(syncWords(session({})).text).toBe('Saved on the relay');
    for (const connection of [
      { state: 'online' },
      { state: 'offline' },
      { state: 'connecting' },
      { state: 'refused', code: 4403, reason: 'no' },
    ] as const) {
      const words = syncWords(session({ connection, unsaved: 3 }));
      expect(`${words.text} ${words.more}`).not.toMatch(/saved/i);
      expect(words.more).toContain('3 edits');
    }
  });

  it('say why, and what to do, when the server says no', () => {
    expect(
      syncWords(session({ connection: { state: 'refused', code: 4401, reason: '' }, hasToken: false })),
    ).toMatchObject({ tone: 'bad', text: 'Needs a token' });
    expect(syncWords(session({ refusal: 'This token may only read.', unsaved: 1 })).more).toBe(
      'The relay says: This token may only read. 1 edit only in this browser.',
    );
    expect(syncWords(null).tone).toBe('busy');
  });
});
