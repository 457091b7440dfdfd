import type { AttributePath } from '@fieldbook/core';
import type { RunState } from '@fieldbook/core/fold';
import type { MetricSummary } from '@fieldbook/core/record';
import type { Aggregate, Cell } from './api.ts';

/**
 * Columns by name: a field of every run (`created`), an attribute (`a:params/lr`), or an aggregate of a metric
 * (`m:val/acc.max`). The name is what addresses, settings and the worker's messages carry.
 */
export interface ParsedColumn {
  id: string;
  source: 'field' | 'attribute' | 'metric';
  path: string;
  aggregate: Aggregate | null;
}

export const FIELDS = [
  'name',
  'status',
  'created',
  'updated',
  'duration',
  'group',
  'user',
  'host',
  'tags',
  'notes',
  'star',
  'id',
] as const;
export type Field = (typeof FIELDS)[number];
/** `best` and `bestStep` are the extreme that the metric's goal names, and its step; the page says which, the worker knows only the others. */
export const AGGREGATES: readonly Aggregate[] = [
  'last',
  'min',
  'max',
  'best',
  'count',
  'step',
  'minStep',
  'maxStep',
  'bestStep',
];

export const attributeColumn = (path: string): string => `a:${path}`;
export const metricColumn = (path: string, aggregate: Aggregate): string => `m:${path}.${aggregate}`;

/** Undefined for a name that is no column's. */
export function parseColumn(id: string): ParsedColumn | undefined {
  if (id.startsWith('a:') && id.length > 2) return { id, source: 'attribute', path: id.slice(2), aggregate: null };
  if (id.startsWith('m:')) {
    const dot = id.lastIndexOf('.');
    const aggregate = AGGREGATES.find((each) => each === id.slice(dot + 1));
    if (dot < 3 || aggregate === undefined) return undefined;
    return { id, source: 'metric', path: id.slice(2, dot), aggregate };
  }
  return (FIELDS as readonly string[]).includes(id) ? { id, source: 'field', path: id, aggregate: null } : undefined;
}

/** A run's value in a column; undefined when it has none. Durations are ms; `now` ends those of running runs. */
export function cellOf(state: RunState, column: ParsedColumn, now: number): Cell {
  switch (column.source) {
    case 'attribute':
      return state.attributes.get(column.path as AttributePath);
    case 'metric': {
      const metric = state.metrics.get(column.path as AttributePath);
      return metric === undefined ? undefined : aggregateOf(metric, column.aggregate ?? 'last');
    }
    case 'field':
      return fieldOf(state, column.path as Field, now);
  }
}

function aggregateOf(metric: MetricSummary, aggregate: Aggregate): Cell {
  switch (aggregate) {
    case 'best':
    case 'bestStep':
      return undefined;
    case 'step':
      return metric.lastStep;
    // As the query engine has it: a metric without a finite value has no extreme, and no step of it.
    case 'min':
    case 'minStep':
      return Number.isNaN(metric.min) ? undefined : metric[aggregate];
    case 'max':
    case 'maxStep':
      return Number.isNaN(metric.max) ? undefined : metric[aggregate];
    default:
      return metric[aggregate];
  }
}

function fieldOf(state: RunState, field: Field, now: number): Cell {
  switch (field) {
    case 'created':
    case 'updated':
      return { time: state[field] };
    case 'duration':
      return Math.max(0, (state.ended ?? (state.status === 'running' ? now : state.updated)) - state.created);
    case 'group':
    case 'user':
    case 'host':
      return state[field] ?? undefined;
    case 'notes':
      return state.notes === '' ? undefined : state.notes;
    case 'name':
    case 'status':
    case 'star':
    case 'tags':
    case 'id':
      return state[field];
  }
}
