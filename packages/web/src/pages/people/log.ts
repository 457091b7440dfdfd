import { bytes } from '../../app/format.ts';
import { scopeWords } from './words.ts';
import type { LogEntry } from './relay.ts';

/** What of the log somebody wants to see. */
export type LogKind = 'all' | 'access' | 'refused' | 'data';

export const LOG_KINDS: readonly (readonly [kind: LogKind, label: string, events: readonly string[] | null])[] = [
  ['all', 'everything', null],
  [
    'access',
    'who came and went',
    [
      'token.created',
      'token.revoked',
      'token.expired',
      'invitation.created',
      'invitation.used',
      'invitation.revoked',
      'sign-in',
      'person.readmitted',
      'peer.added',
      'peer.removed',
    ],
  ],
  ['refused', 'what was refused', ['access.refused', 'sign-in.refused', 'update.refused']],
  ['data', 'what was done to the data', ['repair', 'restore', 'retention', 'blob.damaged']],
];

/** Names of tokens by id, as the lists and the log itself say them. */
export type Names = ReadonlyMap<string, string>;

/** The names that entries say of tokens which no list has any more. */
export function namesIn(entries: readonly LogEntry[], listed: Names): Names {
  const names = new Map(listed);
  for (const { event, id, token, name } of entries) {
    if (typeof name !== 'string') continue;
    const whose = event.startsWith('token.')
      ? id
      : event === 'sign-in' || event === 'update.refused'
        ? token
        : undefined;
    if (typeof whose === 'string' && !names.has(whose)) names.set(whose, name);
  }
  return names;
}

/** A line of the log as a sentence. What is not known to this page, of a newer relay, is said as it stands. */
export function logWords(entry: LogEntry, names: Names): string {
  const said = sentence(entry, names) ?? plain(entry);
  const count = typeof entry['count'] === 'number' && entry.event.endsWith('.refused') ? entry['count'] : 0;
  return count > 0 ? `${said} (${count.toLocaleString('en')} times more within a minute)` : said;
}

function sentence(entry: LogEntry, names: Names): string | null {
  const by = actor(entry, names);
  const whom = text(entry['name']) ?? text(entry['id']) ?? '?';
  const may = `${text(entry['role']) ?? '?'} of ${scopeWords(list(entry['projects']))}`;
  const from = text(entry['address']);
  const where = from === null ? '' : `, from ${from}`;
  const why = text(entry['reason']) ?? text(entry['code']) ?? 'no reason is written down';
  switch (entry.event) {
    case 'token.created':
      return text(entry['by'])?.startsWith('invitation ') === true
        ? `${whom} came in by an invitation, as ${may}`
        : `${by} made a token for ${whom}, ${may}`;
    case 'token.revoked':
      return `${by} revoked the token of ${whom}`;
    case 'token.expired':
      return `The token of ${whom} is over`;
    case 'invitation.created':
      return `${by} invited ${whom}, as ${may}`;
    case 'invitation.used':
      return `The invitation of ${whom} was used by ${text(entry['device']) ?? 'a device'}${where}`;
    case 'invitation.revoked':
      return `${by} took the invitation of ${whom} back`;
    case 'sign-in': {
      const first = entry['first'] === true ? ' for the first time' : '';
      return `${text(entry['name']) ?? subject(entry['token'], names)} signed in${first}${where}`;
    }
    case 'sign-in.refused':
      return `${text(entry['email']) ?? text(entry['subject']) ?? 'Somebody'} could not sign in${where}: ${why}`;
    case 'person.readmitted':
      return `${by} let ${whom} sign in again`;
    case 'peer.added':
      return `${by} connected the relay to ${text(entry['url']) ?? '?'}`;
    case 'peer.removed':
      return `${by} disconnected the relay from ${text(entry['url']) ?? '?'}`;
    case 'access.refused': {
      const asked = text(entry['path']);
      return `${subject(entry['token'], names)}${where} was refused${asked === null ? '' : ` at ${asked}`}: ${why}`;
    }
    case 'update.refused':
      return `A change of ${named(entry['token'], names)} to ${text(entry['document']) ?? 'a document'} was refused: ${why}`;
    case 'repair':
      return `${text(entry['document']) ?? 'A document'} was rebuilt: ${why}`;
    case 'restore':
      return `The relay was restored from ${text(entry['backup']) ?? 'a backup'}`;
    case 'retention':
      return `Let go by age: ${number(entry['count'])} of ${text(entry['what']) ?? '?'}, ${bytes(Number(entry['bytes'] ?? 0))}`;
    case 'blob.damaged':
      return `A damaged file was put aside, to be sent again: ${(text(entry['digest']) ?? '?').slice(0, 16)}`;
    default:
      return null;
  }
}

/** Who did it: a person by name, for the token of one may be gone; "where the relay runs" for the command line. */
function actor(entry: LogEntry, names: Names): string {
  const person = text(entry['person']);
  if (person !== null) return person;
  return entry['by'] === 'command line' ? 'Whoever runs the relay' : subject(entry['by'], names);
}

/** At the beginning of a sentence. Names stay as they are. */
function subject(id: unknown, names: Names): string {
  const known = text(id);
  return known === null ? 'Somebody' : (names.get(known) ?? `Token ${known}`);
}

function named(id: unknown, names: Names): string {
  const known = text(id);
  return known === null ? 'somebody' : (names.get(known) ?? `token ${known}`);
}

function plain({ event, ...fields }: LogEntry): string {
  const said = Object.entries(fields)
    .filter(([name]) => name !== 'time')
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return [event, ...said].join(', ').slice(0, 600);
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function list(value: unknown): readonly string[] | null {
  return Array.isArray(value) ? value.map(String) : null;
}

function number(value: unknown): string {
  return typeof value === 'number' ? value.toLocaleString('en') : '?';
}

/** Entries of a page that is read again, before those that were there: null when they do not meet any more. */
export function joined(newest: readonly LogEntry[], before: readonly LogEntry[]): LogEntry[] | null {
  const last = before[0];
  if (last === undefined) return null;
  const same = JSON.stringify(last);
  const at = newest.findIndex((entry) => JSON.stringify(entry) === same);
  return at === -1 ? null : [...newest.slice(0, at), ...before];
}
