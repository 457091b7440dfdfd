import { count } from '../app/format.ts';
import type { ChartGroup } from './groups.ts';

/**
 * Which runs charts are of, in words. `groups` are those that lines are drawn of, out of `total`; `runs` is how many have lines without
 * groups. Groups and selected runs that are on no chart are told by the numbers.
 */
export function whyOf({
  groups,
  total,
  selected,
  runs,
}: {
  groups: readonly Pick<ChartGroup, 'runs'>[] | null;
  total: number;
  selected: number;
  runs: number;
}): string {
  if (groups === null) {
    if (selected === 0) return `the first ${count(runs, 'run')} of the table`;
    return first(runs, selected, 'selected run');
  }
  const of = first(groups.length, total, 'group');
  if (selected === 0) return of;
  const shown = groups.reduce((sum, group) => sum + group.runs.length, 0);
  const some =
    shown < selected
      ? `${shown.toLocaleString('en')} of ${count(selected, 'selected run')}`
      : count(selected, 'selected run');
  return `${some} in ${of}`;
}

function first(shown: number, all: number, noun: string): string {
  return shown < all ? `the first ${shown.toLocaleString('en')} of ${count(all, noun)}` : count(all, noun);
}
