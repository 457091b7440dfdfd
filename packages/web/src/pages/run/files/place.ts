import type { ServerInfo } from '../../../worker/api.ts';
import type { FileLine } from '../../../worker/files-api.ts';

/** Where the bytes of a file are, in words, and what can be done about it. */
export interface Place {
  text: string;
  /** At length, for a tooltip and the preview. */
  detail: string;
  /** `near`: it opens at once. `away`: not without another machine. `wait`: it is on its way. */
  tone: 'near' | 'away' | 'wait';
  /** Somebody can ask its machine to send it. */
  requestable: boolean;
  /** For sorting: the nearest first. */
  rank: number;
}

/** As seen by this browser with its server; `server` null while none has been heard of, `online` while one answers. */
export function placeOf(
  line: Pick<
    FileLine,
    'state' | 'kept' | 'removed' | 'holders' | 'machine' | 'travel' | 'requested' | 'source' | 'failure' | 'content'
  >,
  server: Pick<ServerInfo, 'kind'> | null,
  online: boolean,
): Place {
  const { state, kept, holders, machine, travel, requested, source, failure, content } = line;
  const here = server?.kind === 'relay' ? 'on the relay' : 'here';
  const near = (text: string, detail: string, rank: number): Place => ({
    text,
    detail,
    tone: 'near',
    requestable: false,
    rank,
  });
  const away = (text: string, detail: string, rank: number, requestable = false): Place => ({
    text,
    detail,
    tone: 'away',
    requestable,
    rank,
  });
  if (content === null) {
    if (failure !== null) return away('not stored', `${machine} could not store its bytes: ${failure}.`, 7);
    if (source !== null) return away('only named', `Only its place is known: ${source}`, 8);
    return {
      text: `waits on ${machine}`,
      detail: `Its bytes wait on ${machine} until its agent stores them.`,
      tone: 'wait',
      requestable: false,
      rank: 5,
    };
  }
  if (state === 'here' && online) {
    const also = holders.length > 0 ? ` Also on ${holders.map(plain).join(', ')}.` : '';
    return near(
      kept ? `${here}, in this browser` : here,
      `All its bytes are ${server?.kind === 'relay' ? 'on the relay' : 'on this machine'}.${kept ? ' This browser has kept them, too.' : ''}${also}`,
      kept ? 0 : 1,
    );
  }
  if (kept) return near('in this browser', 'This browser has kept all its bytes; they show with no server.', 2);
  if (!online || state === null)
    return away(
      'not in this browser',
      `Its bytes are not kept in this browser, and no server answers. It was recorded on ${machine}.`,
      9,
    );
  if (holders.length > 0)
    return near(
      `on ${holders.map(plain).join(', ')}`,
      `Not on this machine; it is fetched from ${holders.map(plain).join(', ')} when you open it.`,
      3,
    );
  if (travel === 'never')
    return away(`stays on ${machine}`, `It was made to stay on ${machine}. Copy it from there.`, 7);
  if (requested)
    return {
      text: `asked ${machine} for it`,
      detail: `Somebody has asked for it. ${machine} sends it when it is next connected; this changes by itself then. The list of its pieces comes last, so how much has come is not known before.`,
      tone: 'wait',
      requestable: false,
      rank: 4,
    };
  return away(
    `on ${machine} only`,
    `Its bytes are on ${machine} only. Ask for them, and it sends them when it is next connected.`,
    6,
    true,
  );
}

/** A relay's address without its scheme. */
function plain(holder: string): string {
  return holder.replace(/^https?:\/\//, '');
}
