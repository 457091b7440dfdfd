import { FieldbookError } from '../errors.ts';
import { utf8Length } from '../ids.ts';
import type { Value, ValueObject } from './value.ts';

/** Reads the fields of a decoded record, turning every surprise into `record_malformed` with the field's name. */
export class FieldReader {
  readonly #object: ValueObject;
  readonly #what: string;

  /** `what` begins the error text, as in "A card". */
  constructor(object: ValueObject, what: string) {
    this.#object = object;
    this.#what = what;
  }

  string(key: string, limitBytes: number): string {
    const value = this.optionalString(key, limitBytes);
    if (value === null) throw this.#broken(key);
    return value;
  }

  optionalString(key: string, limitBytes: number): string | null {
    const value = this.#object[key];
    if (value === undefined || value === null) return null;
    if (typeof value !== 'string' || utf8Length(value) > limitBytes) throw this.#broken(key);
    return value;
  }

  id<T>(key: string, parse: (text: string) => T): T {
    const value = this.#object[key];
    if (typeof value !== 'string') throw this.#broken(key);
    try {
      return parse(value);
    } catch (error) {
      throw this.#broken(key, error);
    }
  }

  optionalId<T>(key: string, parse: (text: string) => T): T | null {
    return this.#object[key] === undefined ? null : this.id(key, parse);
  }

  /** A finite number. */
  number(key: string): number {
    const value = this.#object[key];
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.#broken(key);
    return value;
  }

  optionalNumber(key: string): number | null {
    return this.#object[key] === undefined || this.#object[key] === null ? null : this.number(key);
  }

  /** Null when it is not there. */
  optionalFlag(key: string): boolean | null {
    const value = this.#object[key];
    if (value === undefined) return null;
    if (typeof value !== 'boolean') throw this.#broken(key);
    return value;
  }

  /** A safe integer that is not negative. */
  count(key: string): number {
    const value = this.number(key);
    if (!Number.isSafeInteger(value) || value < 0) throw this.#broken(key);
    return value;
  }

  array(key: string): Value[] {
    const value = this.#object[key];
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw this.#broken(key);
    return value;
  }

  strings(key: string, limitCount: number, limitBytes: number): string[] {
    const array = this.array(key);
    if (array.length > limitCount) throw this.#broken(key);
    return array.map((element) => {
      if (typeof element !== 'string' || utf8Length(element) > limitBytes) throw this.#broken(key);
      return element;
    });
  }

  bytes(key: string): Uint8Array | null {
    const value = this.#object[key];
    if (value === undefined) return null;
    if (!(value instanceof Uint8Array)) throw this.#broken(key);
    return value;
  }

  value(key: string): Value {
    return this.#object[key];
  }

  /** The fields not in `known`, for the next writer to keep. */
  rest(known: ReadonlySet<string>): ValueObject {
    const rest: ValueObject = {};
    for (const key of Object.keys(this.#object)) if (!known.has(key)) rest[key] = this.#object[key];
    return rest;
  }

  #broken(key: string, cause?: unknown): FieldbookError {
    return new FieldbookError('record_malformed', `${this.#what} has a missing or broken field "${key}".`, { cause });
  }
}
