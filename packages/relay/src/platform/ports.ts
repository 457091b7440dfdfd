import { randomFillSync } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Clock, Log, Random, Timers } from '@fieldbook/core';

export const clock: Clock = { now: () => Date.now() };

export const random: Random = { bytes: (length) => randomFillSync(new Uint8Array(length)) };

export const timers: Timers = {
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

const gzipAsync = promisify(gzip);

/** Level 4: a third of the time of the default for a few per cent more bytes. */
export async function gzipBytes(bytes: Uint8Array): Promise<Uint8Array> {
  return gzipAsync(bytes, { level: 4 });
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One JSON object a line. Callers never hand tokens to it. */
export function jsonLog(write: (line: string) => void, least: LogLevel): Log {
  const at =
    (level: LogLevel) =>
    (event: string, fields: Record<string, unknown> = {}): void => {
      if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return;
      write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields })}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
