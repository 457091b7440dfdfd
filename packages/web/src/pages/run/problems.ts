import type { RunDetail, WriterDetail } from '../../worker/api.ts';

/** Writers that something went wrong for: an error, records that were dropped, a journal that is damaged. */
export function problemsOf({ writers }: Pick<RunDetail, 'writers'>): readonly WriterDetail[] {
  return writers.filter(({ traceback, damage, dropped }) => traceback !== null || damage !== null || dropped > 0);
}
