import type { Cli } from '../command.ts';
import { formatAgo, formatValue } from '../format.ts';
import type { EditShape, FileShape, ObjectPathShape, RunDetailShape, RunShape } from '../shapes.ts';

/** What `show` knows of a run: always its detail, and what the sections asked for need. */
export interface Shown {
  run: RunDetailShape;
  files: readonly FileShape[];
  objects: readonly ObjectPathShape[];
  edits: readonly EditShape[];
  /** The run that it is a child of, and its own children. */
  parent: RunShape | null;
  children: readonly RunShape[];
  /** All of a list is wanted, not its beginning. */
  whole: boolean;
}

export type Need = 'files' | 'objects' | 'edits' | 'family';

/** One part of what is known of a run, under a name that `--section` takes. */
export interface Section {
  name: string;
  title: string;
  needs?: readonly Need[];
  /** Empty when there is nothing to say. */
  print(shown: Shown, cli: Cli): string;
  json(shown: Shown): unknown;
}

/** A captured section, of each writer that has another one to tell. `host` names it where there are several. */
export interface Captured {
  host: string | null;
  data: Readonly<Record<string, unknown>>;
}

export function capturesOf({ captures, writers }: RunDetailShape, section: string): Captured[] {
  const found = new Map<string, Captured>();
  for (const { writer, data, section: name } of captures) {
    if (name !== section) continue;
    const host = writers.find((one) => one.writer === writer)?.host ?? null;
    const text = JSON.stringify(data);
    if (!found.has(text)) found.set(text, { host, data });
  }
  return [...found.values()];
}

/** Sections as the API gives them, with their writers. */
export function capturesJson({ captures }: RunDetailShape, ...sections: readonly string[]): unknown {
  return captures.filter(({ section }) => sections.includes(section));
}

/** Anything of a capture as a line of text; null when there is nothing. A newer client may say more than we know. */
export function said(value: unknown): string | null {
  if (value === null || value === undefined || value === '') return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return formatValue(value);
  if (Array.isArray(value)) return value.length === 0 ? null : value.map((each) => said(each) ?? '').join(', ');
  return Object.keys(value).length === 0 ? null : JSON.stringify(value);
}

export function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** Words joined by commas, those left out that are null. */
export function words(...parts: readonly (string | null)[]): string | null {
  const there = parts.filter((part) => part !== null);
  return there.length === 0 ? null : there.join(', ');
}

/** An attribute's value, and who edited it. */
export function attributeText({ run }: Shown, { now }: Cli, path: string): string {
  const edit = Object.hasOwn(run.edited, path) ? run.edited[path] : undefined;
  const value = Object.hasOwn(run.attributes, path) ? formatValue(run.attributes[path]) : 'taken off';
  if (edit === undefined) return value;
  const script = 'scripted' in edit ? `the script said ${formatValue(edit.scripted)}` : 'the script said nothing';
  return `${value}  (edited by ${edit.by || 'somebody'}, ${formatAgo(edit.at, now())}; ${script})`;
}
