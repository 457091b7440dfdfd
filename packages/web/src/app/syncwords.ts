import type { Session } from '../worker/api.ts';
import type { AloneSummary } from '../worker/sync-api.ts';
import { count } from './format.ts';

export interface SyncWords {
  tone: 'good' | 'busy' | 'away' | 'bad';
  /** One or two words, for a phone. */
  brief: string;
  text: string;
  /** A sentence that says what it means and what to do. */
  more: string;
}

/** What the header says of where one's edits are. Nothing is called saved that no server has acknowledged. */
export function syncWords(session: Session | null): SyncWords {
  if (session === null)
    return { tone: 'busy', brief: '…', text: 'Opening…', more: 'Reading what this browser has kept.' };
  const { connection, unsaved } = session;
  const edits = count(unsaved, 'edit');
  const server = session.server === null ? 'server' : session.server.kind;
  const only = unsaved === 0 ? '' : ` ${edits} not yet on the ${server}.`;
  const carried = session.carried.documents + session.carried.blobs;
  const brought = carriedWords(session);
  if (session.refusal !== null && connection.state === 'online') {
    return {
      tone: 'bad',
      brief: 'Refused',
      text: 'Edits not accepted',
      more: `The ${server} says: ${session.refusal}${only === '' ? '' : ` ${edits} only in this browser.`}`,
    };
  }
  // A server that has everything makes up for a browser that keeps nothing.
  if (
    session.storage.problem !== null &&
    connection.state !== 'refused' &&
    (connection.state !== 'online' || unsaved > 0)
  )
    return {
      tone: 'bad',
      brief: 'Not kept',
      text: unsaved === 0 ? 'Storage trouble' : `${edits} not kept`,
      more: `${session.storage.problem}${only}`,
    };
  switch (connection.state) {
    case 'refused':
      if (connection.code === 4401 && session.signedInAs !== null)
        return {
          tone: 'bad',
          brief: 'Signed out',
          text: 'Signed out',
          more: `The relay asks you to sign in again: in Settings, under Access.${only}`,
        };
      return connection.code === 4401
        ? {
            tone: 'bad',
            brief: 'No token',
            text: session.hasToken ? 'Token not accepted' : 'Needs a token',
            more: `The relay asks for a token. Give one in Settings.${only}`,
          }
        : {
            tone: 'bad',
            brief: 'Refused',
            text: 'Refused by the server',
            more: `${connection.reason || `The server closed with code ${connection.code}.`}${only}`,
          };
    case 'online':
      if (unsaved === 0 && carried > 0)
        return {
          tone: session.carried.problem === null ? 'busy' : 'bad',
          brief: String(carried),
          text: `A bundle is not yet on the ${server}`,
          more: `${brought} not yet on the ${server}. ${session.carried.problem ?? 'They are on the way.'}`,
        };
      if (unsaved === 0 && session.alone !== null && isAlone(session.alone)) return aloneWords(session.alone);
      return unsaved === 0
        ? {
            tone: 'good',
            brief: 'Saved',
            text: `Saved on the ${server}`,
            more: `Everything you changed is on the ${server}.`,
          }
        : {
            tone: 'busy',
            brief: String(unsaved),
            text: `${edits} not yet on the ${server}`,
            more: `${edits} on the way.`,
          };
    case 'connecting':
      return {
        tone: 'busy',
        brief: unsaved === 0 ? '…' : String(unsaved),
        text: 'Connecting…',
        more: `Looking for the ${server}.${only}`,
      };
    case 'offline':
      return unsaved === 0
        ? {
            tone: 'away',
            brief: 'Offline',
            text: 'Offline',
            more: `The ${server} does not answer. Everything works; what you change is kept here and sent later.${carried === 0 ? '' : ` ${brought} of a bundle only in this browser until then.`}`,
          }
        : {
            tone: 'away',
            brief: `Offline ${unsaved}`,
            text: `Offline · ${edits} not yet on the ${server}`,
            more: `The ${server} does not answer. ${edits} only in this browser until it does.`,
          };
  }
}

function isAlone({ runs, changes, files }: AloneSummary): boolean {
  return runs > 0 || changes || files > 0;
}

/** What the agent has and no relay. */
function aloneWords({ runs, changes, files, reached, complete }: AloneSummary): SyncWords {
  const parts = [];
  if (runs > 0) parts.push(`${complete ? '' : 'at least '}${count(runs, 'run')}`);
  if (changes && runs === 0) parts.push('changes');
  if (files > 0) parts.push(count(files, 'file'));
  const what = parts.join(' and ').replace(/^./, (letter) => letter.toUpperCase());
  return {
    tone: reached ? 'busy' : 'away',
    brief: runs + files === 0 ? 'Here' : `${(runs || files).toLocaleString('en')} here`,
    text: `${what} only on this machine`,
    more: `Everything you changed is on the agent. ${what} ${parts.length === 1 && runs + files === 1 ? 'is' : 'are'} not on the relay yet${
      reached
        ? ', but on the way.'
        : ': Sync says why. Until the relay has everything, losing this machine would lose it.'
    }`,
  };
}

/** "3 documents and 2 files": what a bundle brought into this browser and no server has. */
export function carriedWords({ carried }: Pick<Session, 'carried'>): string {
  const parts = [];
  if (carried.documents > 0) parts.push(count(carried.documents, 'document'));
  if (carried.blobs > 0) parts.push(count(carried.blobs, 'blob'));
  return parts.join(' and ');
}
