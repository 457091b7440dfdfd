import type { RunState } from './state.ts';

/**
 * A state as text such that equal states give equal texts on every platform: JSON with sorted keys, maps as sorted
 * pairs, and the numbers that JSON lacks spelled out. What "byte for byte equal" means in tests and in `fieldbook doctor`.
 */
export function canonicalState(state: RunState): string {
  return JSON.stringify(plain(state));
}

function plain(value: unknown): unknown {
  if (typeof value === 'number') {
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { number: Object.is(value, -0) ? '-0' : String(value) };
  }
  if (value instanceof Map) {
    return [...(value as Map<string, unknown>)]
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, element]) => [key, plain(element)]);
  }
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) {
    const object = value as Record<string, unknown>;
    return Object.fromEntries(
      Object.keys(object)
        .sort()
        .map((key) => [key, plain(object[key])]),
    );
  }
  return value;
}
