import { FieldbookError } from '../errors.ts';

/** The part of JSON Schema 2020-12 that the API uses; what is checked here is what the OpenAPI document says. */
export interface Schema {
  $ref?: string;
  type?: SchemaType | readonly SchemaType[];
  description?: string;
  enum?: readonly (string | number | boolean | null)[];
  const?: string | number | boolean;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: boolean | Schema;
  anyOf?: readonly Schema[];
  default?: string | number | boolean;
  example?: unknown;
  format?: string;
}

type SchemaType = 'string' | 'number' | 'integer' | 'boolean' | 'array' | 'object' | 'null';

/** An object whose properties are all required but those named in `optional`; more are refused. */
export function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  return {
    type: 'object',
    properties,
    required: Object.keys(properties).filter((key) => !optional.includes(key)),
    additionalProperties: false,
  };
}

export function array(items: Schema, description?: string): Schema {
  return description === undefined ? { type: 'array', items } : { type: 'array', items, description };
}

export function mapOf(values: Schema, description?: string): Schema {
  const schema: Schema = { type: 'object', additionalProperties: values };
  return description === undefined ? schema : { ...schema, description };
}

export function orNull(schema: Schema): Schema {
  return { anyOf: [schema, { type: 'null' }] };
}

export function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

/** A query parameter's text as the value that its schema asks for. Throws `invalid_argument` naming the parameter. */
export function coerce(name: string, text: string, schema: Schema): unknown {
  let value: unknown = text;
  if (schema.type === 'number' || schema.type === 'integer') {
    value = text.trim() === '' ? Number.NaN : Number(text);
    if (!Number.isFinite(value)) throw invalid(name, `must be a number, not ${quote(text)}`);
  } else if (schema.type === 'boolean') {
    if (text !== 'true' && text !== 'false') throw invalid(name, `must be true or false, not ${quote(text)}`);
    value = text === 'true';
  }
  check(value, schema, name);
  return value;
}

/** Throws `invalid_argument` with the place of the first thing in `value` that `schema` does not allow. `$ref` is not followed: requests have none. */
export function check(value: unknown, schema: Schema, at: string): void {
  if (schema.anyOf !== undefined) return checkAny(value, schema.anyOf, at);
  const types = schema.type === undefined ? [] : typeof schema.type === 'string' ? [schema.type] : schema.type;
  if (types.length > 0 && !types.some((type) => isOfType(value, type))) {
    throw invalid(at, `must be ${types.map(article).join(' or ')}`);
  }
  if (schema.enum !== undefined && !schema.enum.includes(value as string)) {
    throw invalid(at, `must be one of ${schema.enum.map(String).join(', ')}`);
  }
  if (schema.const !== undefined && value !== schema.const) throw invalid(at, `must be ${String(schema.const)}`);
  if (typeof value === 'string') checkText(value, schema, at);
  if (typeof value === 'number') checkNumber(value, schema, at);
  if (Array.isArray(value)) checkArray(value, schema, at);
  else if (typeof value === 'object' && value !== null) checkObject(value as Record<string, unknown>, schema, at);
}

function checkAny(value: unknown, options: readonly Schema[], at: string): void {
  let first: unknown;
  for (const option of options) {
    try {
      return check(value, option, at);
    } catch (error) {
      first ??= error;
    }
  }
  throw first;
}

function checkText(value: string, schema: Schema, at: string): void {
  if (schema.minLength !== undefined && value.length < schema.minLength) throw invalid(at, 'must not be empty');
  if (schema.maxLength !== undefined && value.length > schema.maxLength) {
    throw invalid(at, `must have at most ${schema.maxLength} characters`);
  }
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value)) {
    throw invalid(at, `${quote(value)} does not have the form ${schema.pattern}`);
  }
}

function checkNumber(value: number, schema: Schema, at: string): void {
  if (schema.minimum !== undefined && value < schema.minimum) throw invalid(at, `must be at least ${schema.minimum}`);
  if (schema.maximum !== undefined && value > schema.maximum) throw invalid(at, `must be at most ${schema.maximum}`);
}

function checkArray(value: readonly unknown[], schema: Schema, at: string): void {
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    throw invalid(at, `must have at least ${schema.minItems} elements`);
  }
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    throw invalid(at, `must have at most ${schema.maxItems} elements`);
  }
  if (schema.items !== undefined) {
    for (let index = 0; index < value.length; index++) check(value[index], schema.items, `${at}[${index}]`);
  }
}

function checkObject(value: Record<string, unknown>, schema: Schema, at: string): void {
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) throw invalid(`${at}.${name}`, 'is missing');
  }
  for (const [name, member] of Object.entries(value)) {
    const known =
      schema.properties !== undefined && Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined;
    if (known !== undefined) check(member, known, `${at}.${name}`);
    else if (schema.additionalProperties === false)
      throw unknownMember(name.slice(0, 64), at, Object.keys(schema.properties ?? {}));
    else if (typeof schema.additionalProperties === 'object')
      check(member, schema.additionalProperties, `${at}.${name}`);
  }
}

function isOfType(value: unknown, type: SchemaType): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'integer':
      return Number.isSafeInteger(value);
    default:
      return typeof value === type;
  }
}

function article(type: SchemaType): string {
  return type === 'null' ? 'null' : /^[aio]/.test(type) ? `an ${type}` : `a ${type}`;
}

function unknownMember(name: string, at: string, known: readonly string[]): FieldbookError {
  return invalid(`${at}.${name}`, `is not known; known are ${known.join(', ')}`);
}

/** `invalid_argument` about one argument, whose place is also in `details.argument`. */
export function invalid(argument: string, problem: string): FieldbookError {
  return new FieldbookError('invalid_argument', `${argument} ${problem}.`, { details: { argument } });
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}
