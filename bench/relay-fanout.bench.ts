import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { collectGarbage, medianRow, percentileOf, repeatsFor, ROOT, row } from './harness.ts';
import type { Bench, Row } from './harness.ts';
import type { RoomServerProcess } from './rooms.ts';
import { Editor, startPeerProcess, startRelayProcess, Visitors } from './rooms.ts';

const PROCESSES = 2;

interface Contender {
  server: RoomServerProcess;
  editor: Editor;
  /** p50 and p99 of each round. */
  p50: number[];
  p99: number[];
  memory: number | null;
}

const bench: Bench = {
  name: 'relay-fanout',
  about: 'An edit on its way from one client over a relay process to many others in the same room.',
  needs: ['core', 'relay'],
  async run({ smoke }): Promise<Row[]> {
    const rows: Row[] = [];
    const visitors = new Visitors(smoke ? 1 : PROCESSES);
    try {
      for (const count of smoke ? [3] : [10, 100, 1_000]) rows.push(...(await measure(visitors, count, smoke)));
    } finally {
      visitors.close();
    }
    return rows;
  },
};

async function measure(visitors: Visitors, count: number, smoke: boolean): Promise<Row[]> {
  const { repeats, warmUp } = repeatsFor(smoke);
  const edits = smoke ? 2 : 30;
  const servers = await Promise.all([
    startRelayProcess(),
    startPeerProcess('stock', `y-protocols ${versionOf('y-protocols')} server loop`),
    startPeerProcess('bare', 'floor: bare ws broadcast'),
  ]);
  try {
    const contenders: Contender[] = [];
    for (const server of servers) {
      // Before the visitors: whoever joins a bare broadcast later has missed nothing.
      const editor = await new Editor(server).open();
      await visitors.join(`${count} ${server.system}`, server, count);
      contenders.push({ server, editor, p50: [], p99: [], memory: null });
    }
    for (let round = -warmUp; round < repeats; round++) {
      for (let turn = 0; turn < contenders.length; turn++) {
        const contender = contenders[(turn + round + warmUp) % contenders.length]!;
        collectGarbage();
        const took = await playRound(visitors, contender, count, edits);
        if (round < 0) continue;
        contender.p50.push(percentileOf(took, 50));
        contender.p99.push(percentileOf(took, 99));
      }
    }
    for (const contender of contenders) {
      contender.memory = contender.server.memory();
      const id = `${count} ${contender.server.system}`;
      const digests = new Set(await visitors.digests(id, count));
      const [digest] = digests;
      if (digests.size !== 1 || !digest?.startsWith(`${edits * (repeats + warmUp)} `))
        throw new Error(`${id}: what arrived is not what was sent: ${[...digests].join(', ')}`);
      await visitors.leave(id);
      contender.editor.close();
    }
    return contenders.flatMap((contender) => rowsOf(contender, count));
  } finally {
    for (const server of servers) await server.close();
  }
}

/** Edits one after the other, each when everybody has the one before; ms from the editor to each visitor. */
async function playRound(
  visitors: Visitors,
  { server, editor }: Contender,
  count: number,
  edits: number,
): Promise<number[]> {
  const took: number[] = [];
  for (let edit = 0; edit < edits; edit++) {
    const arrived = visitors.got(`${count} ${server.system}`, count);
    const sent = editor.send();
    for (const at of await arrived) took.push((at - sent) / 1e6);
  }
  return took;
}

function rowsOf({ server, p50, p99, memory }: Contender, count: number): Row[] {
  const { system } = server;
  const name = `to ${count} clients`;
  const durability = system === 'fieldbook' ? 'fsync' : 'none';
  return [
    medianRow(p50, { system, case: name, figure: 'p50_ms', durability }),
    medianRow(p99, { system, case: name, figure: 'p99_ms', durability }),
    row({
      system,
      case: name,
      figure: 'rss_mb',
      value: memory,
      ...(memory === null ? { note: 'this system does not say' } : {}),
    }),
  ];
}

/** @returns the version of an installed package */
function versionOf(name: string): string {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}

export default bench;
