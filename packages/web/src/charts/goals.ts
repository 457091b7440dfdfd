import type { MetricGoal } from '../worker/plots-api.ts';
import { parseColumn } from '../worker/columns.ts';
import type { Direction } from './definition.ts';

/**
 * Which values of a metric are good: what the script said of it by name, then by pattern, the longest first; else by what such
 * names mean; null when nobody can tell.
 */
export function goalOf(metric: string, goals: readonly MetricGoal[]): Direction | null {
  const said = goals.find(({ name }) => name === metric);
  if (said !== undefined) return said.goal;
  const fits = goals.filter(({ name }) => name.includes('*') && fitsPattern(metric, name));
  fits.sort((a, b) => b.name.length - a.name.length);
  return fits[0]?.goal ?? usualGoal(metric);
}

/** The same of any column: less time is better, of parameters nobody can tell. */
export function goalOfColumn(column: string, goals: readonly MetricGoal[]): Direction | null {
  const parsed = parseColumn(column);
  if (parsed?.source === 'metric') return parsed.aggregate === 'count' ? null : goalOf(parsed.path, goals);
  return column === 'duration' ? 'min' : null;
}

function usualGoal(metric: string): Direction | null {
  const name = metric.slice(metric.lastIndexOf('/') + 1);
  if (/loss|err|perplexity|ppl|mse|mae|rmse|nll|wer|cer|fid|latency|seconds|bytes/i.test(name)) return 'min';
  return /acc|f1|auc|score|precision|recall|bleu|rouge|map|iou|dice|r2|reward|return|psnr|ssim/i.test(name)
    ? 'max'
    : null;
}

function fitsPattern(metric: string, pattern: string): boolean {
  const parts = pattern.split('*');
  const [first, last] = [parts[0]!, parts.at(-1)!];
  if (!metric.startsWith(first) || !metric.endsWith(last) || metric.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = metric.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return at <= metric.length - last.length;
}
