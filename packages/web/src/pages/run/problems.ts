import type { RunDetail, WriterDetail } from '../../worker/api.ts';

/** Writers that something went wrong for: an error, records that were dropped, a journal that is damaged. */
export function problemsOf({ writers }: Pick<RunDetail, 'writers'>): readonly WriterDetail[] {
  return writers.filter(({ traceback, damage, dropped }) => traceback !== null || damage !== null || dropped > 0);
}

/** What a traceback ends with: the error in its own words. Null without one. */
export function lastLineOf({ writers }: Pick<RunDetail, 'writers'>): string | null {
  const traceback = writers.find((writer) => writer.traceback !== null)?.traceback;
  const lines = (traceback ?? '').trimEnd().split('\n');
  const last = lines.findLast((line) => line !== '' && !/^\s/.test(line)) ?? '';
  return last === '' ? null : last.length > 300 ? `${last.slice(0, 300)}…` : last;
}

/** A file of the run's own that a traceback goes through. */
export interface Frame {
  file: string;
  line: number;
  function: string;
}

/** Frames of a Python traceback, the outermost first. */
export function framesOf(traceback: string): Frame[] {
  return [...traceback.matchAll(/^ {2}File "([^"\n]+)", line (\d+), in (.+)$/gm)].map((match) => ({
    file: match[1]!,
    line: Number(match[2]),
    function: match[3]!,
  }));
}
