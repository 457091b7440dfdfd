import { utf8 } from '../../ids.ts';
import type { ApiContext } from '../context.ts';
import { jsonBytes } from '../http.ts';
import type { Route } from '../route.ts';

/** Proxies and browsers give up on a silent stream after a minute at the earliest. */
const HEARTBEAT_MS = 15_000;
/** Runs named in one event; when more changed, the event says only which project did. */
const RUNS_IN_EVENT = 500;

export function eventRoutes(context: ApiContext): Route[] {
  return [
    {
      id: 'events',
      method: 'GET',
      path: '/events',
      summary: 'Server-sent events: `change` {project, runs}, `sync` {…Sync}, `live` {run, at, metrics}',
      needs: 'viewer',
      answers: [{ status: 200, description: 'A stream that does not end.', type: 'text/event-stream' }],
      handle: async () => ({
        status: 200,
        headers: {
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-store',
          'x-accel-buffering': 'no',
        },
        body: stream(context),
      }),
    },
  ];
}

/**
 * What happened since the last chunk, merged: a client that reads slowly gets fewer events, never a longer queue.
 * Only ids travel; what became of them is asked for by the usual routes.
 */
function stream(context: ApiContext): AsyncIterable<Uint8Array> {
  const wait: Wait = { ended: false, wake: null };
  const chunks = chunksOf(context, wait);
  const end = (): void => {
    wait.ended = true;
    wait.wake?.();
  };
  context.streams.add(end);
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => chunks.next(),
      // A generator that waits cannot be returned; it has to be woken first.
      return: () => {
        context.streams.delete(end);
        end();
        return chunks.return(undefined);
      },
    }),
  };
}

interface Wait {
  ended: boolean;
  wake: (() => void) | null;
}

async function* chunksOf(context: ApiContext, wait: Wait): AsyncGenerator<Uint8Array, undefined> {
  const changed = new Map<string, Set<string>>();
  const live = new Map<string, unknown>();
  let sync = true;
  const notify = (): void => wait.wake?.();
  const stops = [
    context.library.onChange(({ project, runs }) => {
      const set = changed.get(project) ?? new Set();
      for (const run of runs) if (set.size <= RUNS_IN_EVENT) set.add(run);
      changed.set(project, set);
      notify();
    }),
    context.sync.onChange(() => {
      sync = true;
      notify();
    }),
    context.live.onLive((values) => {
      live.set(values.run, values);
      notify();
    }),
  ];
  try {
    yield utf8(': hello\nretry: 2000\n\n');
    while (!wait.ended) {
      for (const [project, runs] of changed) {
        changed.delete(project);
        yield event('change', { project, runs: runs.size > RUNS_IN_EVENT ? null : [...runs] });
      }
      if (sync) {
        sync = false;
        yield event('sync', await context.sync.state());
      }
      for (const [run, values] of live) {
        live.delete(run);
        yield event('live', values);
      }
      if (changed.size > 0 || sync || live.size > 0) continue;
      const beat = await new Promise<boolean>((resolve) => {
        const cancel = context.timers.after(HEARTBEAT_MS, () => resolve(true));
        wait.wake = () => {
          cancel();
          resolve(false);
        };
      });
      wait.wake = null;
      if (beat) yield utf8(': still here\n\n');
    }
    return undefined;
  } finally {
    for (const stop of stops) stop();
  }
}

function event(name: string, data: unknown): Uint8Array {
  const head = utf8(`event: ${name}\ndata: `);
  const body = jsonBytes(data);
  const bytes = new Uint8Array(head.length + body.length + 2);
  bytes.set(head);
  bytes.set(body, head.length);
  bytes.set([10, 10], head.length + body.length);
  return bytes;
}
