import type { NoteCursor, NotePlace, NoteWriter } from './notes-api.ts';

const NAME_LENGTH = 60;
const PEOPLE_MAX = 50;

/**
 * Who else is in a note, from awareness states. Anybody who may write says what they like there: only what is understood is
 * handed on, and no colour, because others' colours would be others' CSS.
 */
export function readPeople(states: ReadonlyMap<number, unknown>, own: number): NoteWriter[] {
  const people: NoteWriter[] = [];
  for (const [client, state] of states) {
    if (client === own || people.length >= PEOPLE_MAX) continue;
    const { user, cursor, typed } = asObject(state) ?? {};
    const name = asObject(user)?.['name'];
    if (typeof name !== 'string' || name.trim() === '') continue;
    people.push({
      client,
      name: name.trim().slice(0, NAME_LENGTH),
      cursor: readCursor(cursor),
      typed: typeof typed === 'number' && Number.isFinite(typed) ? typed : 0,
    });
  }
  return people.sort((a, b) => a.client - b.client);
}

export function readCursor(value: unknown): NoteCursor | null {
  const { anchor, head } = asObject(value) ?? {};
  const from = readPlace(anchor);
  const to = readPlace(head);
  return from === null || to === null ? null : { anchor: from, head: to };
}

function readPlace(value: unknown): NotePlace | null {
  const place = asObject(value);
  if (place === undefined) return null;
  const item = asObject(place['item']);
  const { client, clock } = item ?? {};
  const assoc = typeof place['assoc'] === 'number' && place['assoc'] < 0 ? -1 : 0;
  if (isCount(client) && isCount(clock)) return { type: null, tname: null, item: { client, clock }, assoc };
  return place['tname'] === 'text' ? { type: null, tname: 'text', item: null, assoc } : null;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}
