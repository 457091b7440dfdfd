import { hlcMs } from '@fieldbook/core';
import type { Edit } from '@fieldbook/core/record';

/** A time as addresses say it: UTC to the second, or to the ms where that matters (`2026-05-03T12:00:00`). */
export function timeText(time: number): string {
  const text = new Date(time).toISOString().slice(0, -1);
  return text.endsWith('.000') ? text.slice(0, -4) : text;
}

/** The time that an address says; null for none and for what is not one. A day alone is its end. */
export function timeOf(text: string | null): number | null {
  if (text === null || !/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?)?$/.test(text)) return null;
  const time = Date.parse(text.length === 10 ? `${text}T23:59:59.999Z` : `${text}Z`);
  return Number.isFinite(time) ? time : null;
}

/** The edits made until a time. */
export function historyAt(history: readonly Edit[], time: number): Edit[] {
  return history.filter(({ at }) => hlcMs(at) <= time);
}
