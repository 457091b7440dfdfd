import type { Path } from './ast.ts';
import type { Aggregate } from './columns.ts';
import { AGGREGATES } from './columns.ts';
import type { FieldName } from './fields.ts';
import { fieldNamed, fieldOf } from './fields.ts';

/** A column, found. */
export type Reference =
  | { source: 'field'; field: FieldName }
  | { source: 'attribute'; path: string }
  | { source: 'metric'; path: string; aggregate: Aggregate };

/** What a table can be asked about a path. */
export interface Known {
  hasAttribute(path: string): boolean;
  hasMetric(path: string): boolean;
}

/**
 * What a path of a query means in a table, or undefined when nothing has it. A field, unless quoted. Else the longest
 * path that exists: `val/loss.min` is the attribute or metric of that whole name before it is the least `val/loss`.
 * Of an attribute and a metric with one name the attribute comes first; the metric is reached as `name.last`.
 */
export function resolvePath(path: Pick<Path, 'text' | 'quoted' | 'scope'>, known: Known): Reference | undefined {
  const field = fieldOf(path);
  if (field !== undefined) return { source: 'field', field };
  const { text, scope } = path;
  if (scope === 'attribute') return { source: 'attribute', path: text };
  if (scope === 'metric') return metricOf(text) ?? { source: 'metric', path: text, aggregate: 'last' };
  if (known.hasAttribute(text)) return { source: 'attribute', path: text };
  if (known.hasMetric(text)) return { source: 'metric', path: text, aggregate: 'last' };
  const metric = metricOf(text);
  return metric !== undefined && known.hasMetric(metric.path) ? metric : undefined;
}

/**
 * A column by its id (`created`, `a:params/lr`, `m:val/acc.max`, which mean the same in every table) or by what
 * people type (`params/lr`, `val/acc.max`), resolved as in a query.
 */
export function resolveColumn(id: string, known: Known): Reference | undefined {
  if (id.startsWith('a:')) return { source: 'attribute', path: id.slice(2) };
  if (id.startsWith('m:')) return metricOf(id.slice(2)) ?? { source: 'metric', path: id.slice(2), aggregate: 'last' };
  const field = fieldNamed(id);
  if (field !== undefined) return { source: 'field', field };
  return resolvePath({ text: id, quoted: true, scope: 'any' }, known);
}

/** The id of a column: `created`, `a:params/lr`, `m:val/acc.max`. */
export function columnId(reference: Reference): string {
  switch (reference.source) {
    case 'field':
      return reference.field;
    case 'attribute':
      return `a:${reference.path}`;
    case 'metric':
      return `m:${reference.path}.${reference.aggregate}`;
  }
}

function metricOf(text: string): { source: 'metric'; path: string; aggregate: Aggregate } | undefined {
  const dot = text.lastIndexOf('.');
  const aggregate = AGGREGATES.find((each) => each === text.slice(dot + 1));
  if (dot < 1 || aggregate === undefined) return undefined;
  return { source: 'metric', path: text.slice(0, dot), aggregate };
}
