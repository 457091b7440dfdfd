import type { Role } from '@fieldbook/core/access';
import { ago, count } from '../../app/format.ts';
import type { TokenLine } from './relay.ts';

/** What each role may, to choose one by. */
export const ROLE_WORDS: readonly (readonly [role: Role, may: string])[] = [
  ['viewer', 'looks, and changes nothing'],
  ['contributor', 'adds runs and changes those only; for machines and CI'],
  ['member', 'adds runs and changes anybody’s'],
  ['admin', 'also lets people in and out'],
];

/** "everything", "the projects vision and speech", "vision, speech and 3 others". */
export function scopeWords(projects: readonly string[] | null): string {
  if (projects === null) return 'everything';
  if (projects.length === 0) return 'no project';
  if (projects.length > 4) return `${projects.slice(0, 3).join(', ')} and ${projects.length - 3} others`;
  return projects.length === 1 ? projects[0]! : `${projects.slice(0, -1).join(', ')} and ${projects.at(-1)!}`;
}

/** Whom a token or an invitation is for. */
export function nameWords(name: string | null): string {
  return name === null || name.trim() === '' ? 'nobody named' : name;
}

export function isOver({ expires }: { expires: number | null }, now: number): boolean {
  return expires !== null && expires <= now;
}

/** When a token ends by itself. */
export function endWords({ expires }: { expires: number | null }, now: number): string {
  if (expires === null) return 'when revoked';
  return expires <= now ? `over since ${ago(expires, now)}` : spanUntil(expires, now);
}

/** "in 3 h", "in 12 days", "in 2 years": unlike for what happened, any time ahead is right. */
export function spanUntil(time: number, now: number): string {
  return `in ${spanWords(Math.max(0, time - now))}`;
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** A lifetime by its largest unit: "5 min", "3 h", "12 days", "2 years". */
export function spanWords(ms: number): string {
  const minutes = Math.round(ms / MINUTE);
  if (minutes < 60) return `${Math.max(1, minutes)} min`;
  const hours = Math.round(ms / (60 * MINUTE));
  if (hours < 48) return `${hours} h`;
  const days = Math.round(ms / DAY);
  return days < 730 ? count(days, 'day') : count(Math.round(days / 365), 'year');
}

/** What an error of the relay says, and what to do about it; `code` is its stable code. */
export function problemWords(code: string, message: string): string {
  const advice = ADVICE[code];
  if (advice === undefined) return message;
  return advice.instead === true ? advice.text : `${message} ${advice.text}`;
}

const ADVICE: Readonly<Record<string, { text: string; instead?: true }>> = {
  unauthorized: { text: 'Sign in again or give another token, in Settings.' },
  forbidden: { text: 'Ask an admin of all projects, or whoever runs the relay.' },
  not_found: {
    text: 'That is not there any more: somebody else was faster. The lists are as they are now.',
    instead: true,
  },
  rate_limited: { text: 'Nothing was done; wait a moment and do it again.' },
  disk_full: { text: 'Nothing was changed. Whoever runs the relay has to make room on its disk.' },
  storage_failed: { text: 'Whoever runs the relay has to look at its disk; look here again before you repeat it.' },
  peer_unreachable: {
    text: 'The relay does not answer. Whether it has done it shows when it does: look at the lists before you repeat it.',
    instead: true,
  },
};

/** What ends with a token, before it is revoked. */
export function revokeWords(token: TokenLine, tokens: readonly TokenLine[], own: string | null, now: number): string {
  if (isOver(token, now))
    return 'It is over and lets nobody in. Revoked, it leaves this list, too; what was written with it stays.';
  const parts = ['Its live connections, downloads and uploads end at once, and it is refused from then on.'];
  parts.push(
    token.person === undefined
      ? 'This cannot be taken back: whoever had it needs a new invitation.'
      : `${nameWords(token.name)} cannot sign in again until somebody lets them in here.`,
  );
  if (token.id === own) parts.push('It is the token of this browser: this page is out as well, at once.');
  parts.push('What was written with it stays.');
  const isLast = !tokens.some((each) => each.id !== token.id && isWholeAdmin(each, now));
  if (isLast && isWholeAdmin(token, now))
    parts.push('Nobody else here is an admin of everything: the next one can only be made where the relay runs.');
  return parts.join(' ');
}

function isWholeAdmin(token: TokenLine, now: number): boolean {
  return token.role === 'admin' && token.projects === null && !isOver(token, now);
}

export type TokenOrder = 'name' | 'created' | 'lastUsed' | 'expires';
export const ORDERS: readonly TokenOrder[] = ['name', 'created', 'lastUsed', 'expires'];

/** Tokens that have all words in their name, person, id, role or projects, in an order; what was never used and what does not end stands last or first as it would in time. */
export function tokensShown(
  tokens: readonly TokenLine[],
  { words, order, descending }: { words: string; order: TokenOrder; descending: boolean },
): TokenLine[] {
  const wanted = words
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const found = tokens.filter((token) => {
    const { id, role, projects, name, person } = token;
    const text = [id, role, name, person?.email, person?.subject, ...(projects ?? [])].join(' ').toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
  const sign = descending ? -1 : 1;
  return found.toSorted((a, b) => sign * compare(a, b, order) || b.created - a.created || (a.id < b.id ? -1 : 1));
}

function compare(a: TokenLine, b: TokenLine, order: TokenOrder): number {
  switch (order) {
    case 'name':
      return nameWords(a.name).localeCompare(nameWords(b.name), 'en', { numeric: true });
    case 'created':
      return a.created - b.created;
    case 'lastUsed':
      return (a.lastUsed ?? 0) - (b.lastUsed ?? 0);
    case 'expires':
      return difference(a.expires ?? Infinity, b.expires ?? Infinity);
  }
}

/** Of infinities too. */
function difference(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
