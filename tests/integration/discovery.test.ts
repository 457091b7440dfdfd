import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { describe, expect, it, vi } from 'vitest';
import { Network, whyNoNetwork } from '../fixtures/network.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { startProgram } from '../scaffold/program.ts';

const impossible = whyNoNetwork();
if (impossible !== undefined) console.warn(`Discovery between hosts is not tested: ${impossible}.`);

/** Says what is taken back on its link. */
const LISTENER = `
  import { createSocket } from 'node:dgram';
  import { networkInterfaces } from 'node:os';
  import { decodeMessage, Multicast } from '@fieldbook/core/discovery';
  const timers = { after: () => () => {} };
  const multicast = await Multicast.open({ createSocket, networkInterfaces, clock: Date, timers });
  multicast.onMessage = (bytes) => {
    for (const { ttl, data } of decodeMessage(bytes)?.answers ?? [])
      if (ttl === 0 && data.kind === 'pointer') console.log('goodbye of', data.target[0] + ';');
  };
  console.log('listening');
`;

interface Found {
  name: string;
  kind: string;
  url: string;
  workspace: string;
  self: boolean;
  joined: boolean;
  join: string | null;
}

/** Whether a process, or another of its network namespace, has the port of multicast DNS. */
const hasPort = (pid: number): boolean => /:14E9 /.test(readFileSync(`/proc/${pid}/net/udp`, 'utf8'));

describe.skipIf(impossible !== undefined)('discovery between hosts', () => {
  it('[DSC-1, DSC-5, DSC-6, DSC-7, DSC-8] a relay and a machine of one name are found by name and address, joined by the line that is printed, and gone when they end', async () => {
    const network = await Network.open('relay', 'gpu', 'laptop');
    const homes = Object.fromEntries(['relay', 'gpu', 'laptop'].map((name) => [name, emptyFolder(name)]));
    const env = (name: string): { FIELDBOOK_HOME: string; FIELDBOOK_LOG: string; FIELDBOOK_HOST: string } => ({
      FIELDBOOK_HOME: homes[name]!,
      FIELDBOOK_LOG: 'info',
      FIELDBOOK_HOST: name,
    });
    const serve = ['serve', '--host', '0.0.0.0', '--port', '4400', '--data', homes['relay']!];
    const relay = network.program('relay', 'fieldbook-relay', [...serve, '--announce'], env('relay'));
    const up = ['up', '--port', '4400', '--host', '0.0.0.0', '--allow-remote'];
    const laptop = network.program('laptop', 'fieldbook', up, env('laptop'));
    await Promise.all([relay.says(/discovery\.announced/), laptop.says(/running at/)]);
    // Nothing was asked for here, and nothing listens.
    expect([hasPort(relay.pid), hasPort(laptop.pid)]).toEqual([true, false]);
    // What people call it is taken.
    const gpuEnv = { ...env('gpu'), FIELDBOOK_HOST: hostname(), FIELDBOOK_ANNOUNCE: 'true' };
    const gpu = network.program('gpu', 'fieldbook', up, gpuEnv);
    const listener = network.node('relay', ['--input-type=module', '-e', LISTENER], env('relay'));
    const token = startProgram('fieldbook-relay', ['token', 'create', '--data', homes['relay']!], env('relay'));
    const [secret] = await token.says(/fbt_[A-Za-z0-9_-]+/);
    await gpu.says(/discovery\.announced/);

    const list = async (args: string): Promise<string> => {
      const asked = network.shell('laptop', `fieldbook discover ${args} 2>/dev/null`, env('laptop'));
      expect(await asked.ended).toEqual({ code: 0, signal: null });
      return asked.output();
    };
    // On a machine that is busy an answer may come late; then people ask again, too.
    const [first, second] = await vi.waitFor(
      async () => {
        const { found } = JSON.parse(await list('--timeout 1.2 --json')) as { found: Found[] };
        expect(found).toHaveLength(2);
        return found;
      },
      { timeout: 20_000 },
    );
    const name = hostname();
    expect([first, second]).toMatchObject([
      { name, kind: 'relay', url: 'http://10.77.0.1:4400', workspace: 'another', joined: false },
      { name: `${name} (2)`, kind: 'agent', url: 'http://10.77.0.2:4400', workspace: 'another', self: false },
    ]);
    // As it is printed, and the token by the way that it says.
    const joined = network.shell('laptop', `printf %s "$TOKEN" | ${first!.join}`, { ...env('laptop'), TOKEN: secret });
    expect(await joined.ended).toEqual({ code: 0, signal: null });

    const listed = vi.waitFor(
      async () =>
        expect(await list('--timeout 0.5')).toMatch(
          new RegExp(`${name} +relay +http://10.77.0.1:4400 +this one; joined`),
        ),
      { timeout: 20_000 },
    );
    await listener.says(/listening/);
    await gpu.stop();
    await listener.says(new RegExp(`goodbye of ${name} \\(2\\);`));
    await listed;

    await network.link('laptop', false);
    const alone = network.shell('laptop', 'fieldbook discover --timeout 0.5', env('laptop'));
    expect(await alone.ended).toEqual({ code: 4, signal: null });
    expect(alone.output()).toContain('no network interface that leads to others');
  });
});
