import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { CDPSession, Page } from 'playwright-core';
import { peersPython, ROOT, row } from './harness.ts';
import type { Row } from './harness.ts';
import { benchAgent, benchBrowser } from './web-agent.ts';
import { visit } from './web-start.ts';

const RUNS = 50;
const SYSTEM = 'fieldbook in Chromium';

/** Runs that log ten times a second until they are told to stop: one process, as many writers as runs. */
const WRITERS = `
import sys, time, math, fieldbook
runs = [fieldbook.init(project="live", name=f"live {n}", capture=False) for n in range(int(sys.argv[1]))]
print("ready", flush=True)
step = 0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for n, run in enumerate(runs):
        run.log({"loss": math.exp(-step / 500) + n / 100, "accuracy": 1 - math.exp(-step / 300)}, step=step)
    step += 1
    time.sleep(0.1)
for run in runs: run.finish()
`;

/**
 * The heap of a project's page and its worker while 50 running runs log ten times a second, after a collection of
 * garbage each time. FIELDBOOK_BENCH_MINUTES says how long; 30 unless it does.
 */
export async function measureHeap(smoke: boolean): Promise<Row[]> {
  const minutes = smoke ? 0.15 : Number(process.env['FIELDBOOK_BENCH_MINUTES'] ?? 30);
  const runs = smoke ? 3 : RUNS;
  await using agent = await benchAgent();
  const writers = spawn(peersPython() ?? 'python3', ['-c', WRITERS, String(runs), String(minutes * 60 + 30)], {
    env: {
      ...process.env,
      FIELDBOOK_HOME: agent.home,
      FIELDBOOK_USER: 'bench',
      PYTHONPATH: join(ROOT, 'packages/python-client/src'),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await new Promise<void>((resolve, reject) => {
      writers.stdout.once('data', () => resolve());
      writers.once('exit', (code) => reject(new Error(`The runs ended with status ${code}.`)));
    });
    await using browser = await benchBrowser();
    const page = await browser.context.newPage();
    await visit(page, `${agent.url}/p/live`, runs);
    const measure = await heapOf(page);
    const points: [minute: number, mb: number][] = [];
    const began = performance.now();
    // The first minute fills caches; what comes after it must not grow.
    const every = Math.max(1_000, (minutes * 60_000) / 40);
    for (let at = 0; at < minutes * 60_000; at = performance.now() - began) {
      await page.waitForTimeout(Math.min(every, minutes * 60_000 - at));
      points.push([(performance.now() - began) / 60_000, (await measure()) / 1e6]);
    }
    const steady = points.filter(([minute]) => minute >= Math.min(1, minutes / 4));
    const name = `${runs} runs logging at 10 Hz, ${minutes} min`;
    return [
      row({ system: SYSTEM, case: name, figure: 'heap_end_mb', value: points.at(-1)![1], note: 'page and worker' }),
      row({ system: SYSTEM, case: name, figure: 'heap_most_mb', value: Math.max(...points.map(([, mb]) => mb)) }),
      row({
        system: SYSTEM,
        case: name,
        figure: 'heap_growth_per_minute_mb',
        value: slopeOf(steady.length > 1 ? steady : points),
        note: 'least squares, without the first minute',
      }),
    ];
  } finally {
    writers.kill('SIGKILL');
  }
}

/** Bytes of live objects of a page and of its worker, each after a full collection. */
async function heapOf(page: Page): Promise<() => Promise<number>> {
  const session = await page.context().newCDPSession(page);
  const workers = new Map<string, WorkerSession>();
  session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
    if (targetInfo.type === 'worker') workers.set(sessionId, new WorkerSession(session, sessionId));
  });
  session.on('Target.detachedFromTarget', ({ sessionId }) => void workers.delete(sessionId));
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  return async () => {
    await session.send('HeapProfiler.collectGarbage');
    let bytes = (await session.send('Runtime.getHeapUsage')).usedSize;
    for (const worker of workers.values()) {
      await worker.send('HeapProfiler.collectGarbage');
      const usage = (await worker.send('Runtime.getHeapUsage')) as { usedSize: number; backingStorageSize?: number };
      bytes += usage.usedSize + (usage.backingStorageSize ?? 0);
    }
    if (workers.size === 0) throw new Error('The page has no worker to look at.');
    return bytes;
  };
}

/** A session of a worker inside of its page's: playwright has none of its own for workers. */
class WorkerSession {
  readonly #session: CDPSession;
  readonly #id: string;
  #next = 1;

  constructor(session: CDPSession, id: string) {
    this.#session = session;
    this.#id = id;
  }

  async send(method: string): Promise<unknown> {
    const id = this.#next++;
    const answered = new Promise<unknown>((resolve, reject) => {
      const hear = ({ sessionId, message }: { sessionId: string; message: string }): void => {
        const answer = JSON.parse(message) as { id?: number; result?: unknown; error?: { message: string } };
        if (sessionId !== this.#id || answer.id !== id) return;
        this.#session.off('Target.receivedMessageFromTarget', hear);
        if (answer.error === undefined) resolve(answer.result);
        else reject(new Error(answer.error.message));
      };
      this.#session.on('Target.receivedMessageFromTarget', hear);
    });
    await this.#session.send('Target.sendMessageToTarget', {
      sessionId: this.#id,
      message: JSON.stringify({ id, method }),
    });
    return answered;
  }
}

/** MB a minute, by least squares. */
function slopeOf(points: readonly (readonly [number, number])[]): number {
  if (points.length < 2) return 0;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return slope / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}
