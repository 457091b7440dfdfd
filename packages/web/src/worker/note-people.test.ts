import { describe, expect, it } from 'vitest';
import { readPeople } from './note-people.ts';

const place = { type: null, tname: 'text', item: { client: 3, clock: 4 }, assoc: -1 };

describe('others in a note', () => {
  it('[NOTE-8] takes from what others say of themselves a name and a place in the text, and nothing else', () => {
    const states = new Map<number, unknown>([
      [
        1,
        {
          user: { name: ' Ada ', color: 'red; background: url(https://x)' },
          cursor: { anchor: place, head: place },
          typed: 7,
        },
      ],
      [2, { user: { name: 'me' } }],
      [
        3,
        { user: { name: 'Bob' }, cursor: { anchor: place, head: { type: { client: 1, clock: 1 }, tname: 'other' } } },
      ],
      [4, null],
      [5, { user: 'Eve' }],
      [6, { user: { name: '' } }],
      [7, { user: { name: 'x'.repeat(999) }, cursor: 5, typed: 'now' }],
    ]);
    const at = { ...place, tname: null };
    expect(readPeople(states, 2)).toEqual([
      { client: 1, name: 'Ada', cursor: { anchor: at, head: at }, typed: 7 },
      { client: 3, name: 'Bob', cursor: null, typed: 0 },
      { client: 7, name: 'x'.repeat(60), cursor: null, typed: 0 },
    ]);
    const crowd = new Map(Array.from({ length: 500 }, (_, client) => [client, { user: { name: 'bot' } }] as const));
    expect(readPeople(crowd, -1)).toHaveLength(50);
  });
});
