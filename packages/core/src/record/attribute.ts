import { LIMITS } from '../limits.ts';
import { utf8Length } from '../ids.ts';
import type { Value } from './value.ts';

/** A parameter or other single value of a run. Times are numbers in ms since the epoch under a `time` wrapper. */
export type AttributeValue = string | number | boolean | null | { time: number } | readonly string[];

/** A time is `{t: ms}` in a record. */
export function encodeAttribute(value: AttributeValue): Value {
  if (isTime(value)) return { t: value.time };
  return value as Value;
}

/** An attribute as a record holds it; what is of a newer version's kind is null: present, but nothing that this one can compare. */
export function decodeAttribute(value: Value): AttributeValue {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.filter((element) => typeof element === 'string');
  if (typeof value === 'object' && !(value instanceof Uint8Array) && typeof value.t === 'number')
    return { time: value.t };
  return null;
}

/** Whether two values are the same one: NaN is NaN, 0 is not -0, lists agree in order. */
export function sameAttribute(a: AttributeValue, b: AttributeValue): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((text, index) => text === (b as readonly string[])[index]);
  }
  if (isTime(a) && isTime(b)) return Object.is(a.time, b.time);
  return Object.is(a, b);
}

/** Whether a person can set an attribute to it: texts of at most 4 KiB, a list of at most 256 of them, a time that is one. */
export function isAttribute(value: unknown): value is AttributeValue {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return true;
  if (typeof value === 'string') return utf8Length(value) <= LIMITS.attributeValueBytes;
  if (Array.isArray(value)) {
    return (
      value.length <= LIMITS.attributeTexts &&
      value.every((text) => typeof text === 'string' && utf8Length(text) <= LIMITS.attributeValueBytes)
    );
  }
  return isTime(value as AttributeValue) && Number.isFinite((value as { time: number }).time);
}

function isTime(value: AttributeValue): value is { time: number } {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    typeof (value as { time?: unknown }).time === 'number'
  );
}
