import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';

/** What a test may want to run: the built programs, by the path of their way in. */
const PROGRAMS = {
  fieldbook: 'packages/node-agent/bin/fieldbook.mjs',
  'fieldbook-relay': 'packages/relay/bin/fieldbook-relay.mjs',
} as const;

export interface Program {
  readonly pid: number;
  /** Both streams so far, in the order they came. */
  output(): string;
  /** Resolves with the first match of `pattern` in the output; throws with the output if there is none in time. */
  says(pattern: RegExp, withinMs?: number): Promise<RegExpExecArray>;
  /** Sends a signal and waits for the end; safe to call when it has ended. */
  stop(signal?: NodeJS.Signals): Promise<Ended>;
  readonly ended: Promise<Ended>;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Starts a built program with nothing of this process's Fieldbook settings but those given, and ends it with the test.
 * Call it inside of a test. Give `FIELDBOOK_HOME`: without one it writes to the throw-away home of `npm test`, or yours.
 */
export function startProgram(
  name: keyof typeof PROGRAMS,
  args: readonly string[],
  env: Readonly<Record<string, string>> & { readonly FIELDBOOK_HOME: string },
): Program {
  return watch(
    spawn(process.execPath, [join(ROOT, PROGRAMS[name]), ...args], { env: environment(env), stdio: 'pipe' }),
  );
}

/** As `startProgram`, for any command. */
export function startCommand(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> & { readonly FIELDBOOK_HOME: string },
): Program {
  return watch(spawn(command, args, { env: environment(env), stdio: 'pipe' }));
}

function environment(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('FIELDBOOK_'));
  return { ...Object.fromEntries(inherited), ...env };
}

function watch(child: ChildProcess): Program {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      child.emit('said');
    });
  }
  child.stdin?.end();
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  // Whoever waits gets the error; nobody has to.
  ended.catch(() => {});
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return ended;
  };
  onTestFinished(async () => {
    await stop('SIGKILL').catch(() => {});
  });
  return {
    pid: child.pid ?? 0,
    output: () => output,
    ended,
    stop,
    async says(pattern, withinMs = 20_000) {
      const controller = new AbortController();
      const giveUp = (): void => controller.abort();
      const timer = setTimeout(giveUp, withinMs);
      void ended.then(giveUp, giveUp);
      const whole = new RegExp(pattern.source, pattern.flags.replace('g', ''));
      try {
        for (;;) {
          const match = whole.exec(output);
          if (match !== null) return match;
          await once(child, 'said', { signal: controller.signal });
        }
      } catch {
        // What came together with the end counts.
        const match = whole.exec(output);
        if (match !== null) return match;
        throw new Error(`Waited in vain for ${pattern}. The program said:\n${output}`);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
