import { describe, expect, it } from 'vitest';
import type { WriterDetail } from '../../worker/api.ts';
import { endWords } from './captured.ts';
import { framesOf, lastLineOf, problemsOf } from './problems.ts';

const TRACE = `Traceback (most recent call last):
  File "/home/ada/train.py", line 31, in <module>
    main()
  File "/home/ada/lib/model.py", line 7, in main
    raise RuntimeError("diverged")
RuntimeError: diverged
`;

const writer = (change: Partial<WriterDetail>): WriterDetail => ({
  writer: 'w',
  attributes: {},
  environment: {},
  exitCode: null,
  signal: null,
  reason: null,
  traceback: null,
  dropped: 0,
  damage: null,
  ...change,
});

describe('what went wrong', () => {
  it('[RPG-5] is told by the process that knows most, with where in its files', () => {
    const launcher = writer({ writer: 'launcher', traceback: 'exit code 1' });
    const script = writer({ writer: 'script', traceback: TRACE });
    expect(problemsOf({ writers: [launcher, script, writer({})] })).toEqual([script]);
    expect(problemsOf({ writers: [launcher] })).toEqual([launcher]);
    expect(problemsOf({ writers: [writer({ dropped: 3 }), writer({ damage: 'torn' }), script] })).toHaveLength(3);
    expect(lastLineOf({ writers: [launcher, script] })).toBe('RuntimeError: diverged');
    expect(lastLineOf({ writers: [launcher] })).toBeNull();
    expect(framesOf(TRACE)).toEqual([
      { file: '/home/ada/train.py', line: 31, function: '<module>' },
      { file: '/home/ada/lib/model.py', line: 7, function: 'main' },
    ]);
  });

  it('[RPG-5] an end is a sentence with its exit code, signal and reason', () => {
    const end = (
      status: string,
      exitCode: number | null,
      signal: number | null,
      reason: string | null = null,
    ): string => endWords(status, { exitCode, signal, reason });
    expect(end('finished', 0, null)).toBe('Finished');
    expect(end('failed', 3, null)).toBe('Failed with exit code 3');
    expect(end('failed', null, 15)).toBe('Failed: ended by SIGTERM');
    expect(end('crashed', null, 9)).toBe(
      'Crashed: the process ended by SIGKILL, as the kernel does when memory runs out',
    );
    expect(end('preempted', null, 10, 'slurm')).toBe('Preempted (slurm): SIGUSR1 announced the end');
    expect(end('crashed', null, null)).toBe('Crashed: the process ended without a word');
    expect(endWords('lost', undefined)).toMatch(/^Lost/);
  });
});
