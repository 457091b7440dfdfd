import { AsyncLocalStorage } from 'node:async_hooks';
import type { Link, Log } from '@fieldbook/core';

/** What the lines of one request or connection have in common. */
export type LogContext = Readonly<Record<string, string>>;

const store = new AsyncLocalStorage<LogContext>();

/** Runs `work` so that whatever is logged in its course, also by code that knows of no request, says which it belongs to. */
export function inContext<T>(context: LogContext, work: () => T): T {
  return store.run(context, work);
}

/** A log that adds the context that it is called in. */
export function contextual(log: Log): Log {
  const at =
    (level: keyof Log) =>
    (event: string, fields: Record<string, unknown> = {}): void => {
      const context = store.getStore();
      log[level](event, context === undefined ? fields : { ...context, ...fields });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** The link, with what its messages cause in a context of their own: sockets deliver in the context of nobody. */
export function linkInContext(context: LogContext, link: Link): Link {
  let onMessage: Link['onMessage'] = null;
  let onClose: Link['onClose'] = null;
  return {
    send: (message) => link.send(message),
    close: (code, reason) => link.close(code, reason),
    buffered: () => link.buffered(),
    get onMessage() {
      return onMessage;
    },
    set onMessage(listener) {
      onMessage = listener;
      link.onMessage = listener === null ? null : (message) => inContext(context, () => listener(message));
    },
    get onClose() {
      return onClose;
    },
    set onClose(listener) {
      onClose = listener;
      link.onClose = listener === null ? null : (code, reason) => inContext(context, () => listener(code, reason));
    },
  };
}
