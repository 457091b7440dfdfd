import { parseColumn } from '../worker/columns.ts';

/** How a column is called in charts: its path, and which of a metric's values. */
export function columnLabel(id: string): string {
  const parsed = parseColumn(id);
  if (parsed === undefined) return id;
  if (parsed.source === 'metric' && parsed.aggregate !== 'last') return `${parsed.path} · ${parsed.aggregate}`;
  return parsed.path;
}
