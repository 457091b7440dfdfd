import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Bench, Row } from './harness.ts';
import { row } from './harness.ts';

const RELAY = 'packages/relay/bin/fieldbook-relay.mjs';
const AGENT = 'packages/node-agent/bin/fieldbook.mjs';
/** What a Node program costs that only listens. */
const FLOOR = 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => console.log("running"));';
const REPEATS = 5;

interface Running {
  child: ChildProcess;
  said: RegExpExecArray;
}

/** What the kernel says of a process: a switch that it asked for is a time that it slept and was woken. */
interface Usage {
  residentMb: number;
  switches: number;
  cpuSeconds: number;
}

/** What agent and relay cost while nobody does anything, beside a Node process that only listens. */
const bench: Bench = {
  name: 'idle',
  about: 'Memory, wake-ups and CPU of an agent joined to a relay while nothing happens, beside a bare Node process.',
  needs: ['node-agent', 'relay'],
  async run({ smoke }): Promise<Row[]> {
    if (process.platform !== 'linux') {
      const note = 'needs /proc of Linux';
      return [row({ system: 'fieldbook', case: 'relay', figure: 'rss_mb', value: null, note })];
    }
    const folder = mkdtempSync(join(tmpdir(), 'fieldbook-idle-'));
    const [data, home] = [join(folder, 'relay'), join(folder, 'home')];
    const env = { ...process.env, FIELDBOOK_HOME: home, FIELDBOOK_USER: 'ada', FIELDBOOK_HOST: 'box' };
    const children: ChildProcess[] = [];
    const start = async (args: readonly string[], pattern: RegExp): Promise<Running> => {
      const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
      children.push(child);
      return { child, said: await lineOf(child, pattern) };
    };
    try {
      const floor = await start(['-e', FLOOR], /running/);
      const relay = await start([RELAY, 'serve', '--port', '0', '--data', data], /running at (http:\S+)/);
      const url = relay.said[1]!;
      const agent = await start([AGENT, 'up', '--foreground', '--port', '0'], /running at (http:\S+)/);
      const made = await start([RELAY, 'token', 'create', '--role', 'member', '--data', data], /(fbt_\S+)/);
      const joined = spawn(process.execPath, [AGENT, 'join', url, '--token', made.said[1]!], { env, stdio: 'ignore' });
      if ((await codeOf(joined)) !== 0) throw new Error('The agent did not join the relay.');
      const settled = spawn(process.execPath, [AGENT, 'sync'], { env, stdio: 'ignore' });
      if ((await codeOf(settled)) !== 0) throw new Error('The agent did not come to rest.');
      const programs = { 'floor: node that listens': floor, agent, relay };
      // The first half minute belongs to what starting leaves behind.
      await pause(smoke ? 200 : 30_000);
      const span = smoke ? 500 : 60_000;
      const measured = new Map<string, Usage[]>();
      for (let repeat = 0; repeat < (smoke ? 1 : REPEATS); repeat++) {
        const before = Object.entries(programs).map(([name, { child }]) => [name, usageOf(child.pid!)] as const);
        await pause(span);
        for (const [name, was] of before) {
          const now = usageOf(programs[name as keyof typeof programs].child.pid!);
          const each = {
            residentMb: now.residentMb,
            switches: ((now.switches - was.switches) / span) * 60_000,
            cpuSeconds: ((now.cpuSeconds - was.cpuSeconds) / span) * 60_000,
          };
          measured.set(name, [...(measured.get(name) ?? []), each]);
        }
      }
      return [...measured].flatMap(([name, usages]) => rowsOf(name, usages));
    } finally {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => codeOf(child)));
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

export default bench;

function rowsOf(name: string, usages: readonly Usage[]): Row[] {
  const figures = [
    ['rss_mb', 'residentMb', 'aim: 120 at most'],
    ['wakeups_per_minute_ratio', 'switches', 'voluntary context switches of all threads in a minute'],
    ['cpu_per_minute_s', 'cpuSeconds', 'user and system, in steps of 10 ms'],
  ] as const;
  return figures.map(([figure, of, note]) => {
    const values = usages.map((usage) => usage[of]).toSorted((a, b) => a - b);
    const isFloor = name.startsWith('floor');
    return row({
      system: isFloor ? name : 'fieldbook',
      case: isFloor ? 'idle' : `idle ${name}`,
      figure,
      value: values[values.length >> 1]!,
      spread: [values[0]!, values.at(-1)!],
      repeats: values.length,
      note,
    });
  });
}

function usageOf(pid: number): Usage {
  let switches = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8');
    switches += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  const resident = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  // Behind the name, which may have spaces: utime and stime are the 12th and 13th.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return { residentMb: resident / 1024, switches, cpuSeconds: (Number(stat[11]) + Number(stat[12])) / 100 };
}

async function lineOf(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const match = pattern.exec(line);
    if (match !== null) {
      child.stdout!.resume();
      return match;
    }
  }
  throw new Error(`A program ended without saying ${pattern}.`);
}

function codeOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
