import type { RunDetail, WriterDetail } from '../../worker/api.ts';

/**
 * Writers that something went wrong for: an error, records that were dropped, a journal that is damaged. What a launcher says of how its
 * command ended is left out where the command itself has said more.
 */
export function problemsOf({ writers }: Pick<RunDetail, 'writers'>): readonly WriterDetail[] {
  const explained = writers.some(({ traceback }) => isTrace(traceback));
  return writers.filter(
    ({ traceback, damage, dropped }) =>
      damage !== null || dropped > 0 || (explained ? isTrace(traceback) : traceback !== null),
  );
}

/** What a traceback ends with: the error in its own words. Null without one. */
export function lastLineOf({ writers }: Pick<RunDetail, 'writers'>): string | null {
  const traceback = writers.find((writer) => isTrace(writer.traceback))?.traceback;
  const lines = (traceback ?? '').trimEnd().split('\n');
  const last = lines.findLast((line) => line !== '' && !/^\s/.test(line)) ?? '';
  return last === '' ? null : last.length > 300 ? `${last.slice(0, 300)}…` : last;
}

/** A launcher says in one line how its command ended; a process says where. */
function isTrace(traceback: string | null): boolean {
  return traceback !== null && traceback.trimEnd().includes('\n');
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
