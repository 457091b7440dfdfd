import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { emptyFolder } from '../scaffold/folder.ts';
import { startProgram } from '../scaffold/program.ts';

describe('a relay that is configured', () => {
  it('[OPS-1] runs as its file says, and says what is wrong with one before it touches anything', async () => {
    const folder = emptyFolder('config');
    const [file, data] = [join(folder, 'relay.json'), join(folder, 'data')];
    const run = (args: string[], env: Record<string, string> = {}): ReturnType<typeof startProgram> =>
      startProgram('fieldbook-relay', [...args, '--config', file], { FIELDBOOK_HOME: folder, ...env });

    writeFileSync(file, JSON.stringify({ data, listen: { port: 'high', hsot: '::' } }));
    for (const command of [['serve'], ['config', 'check'], ['token', 'list']]) {
      const wrong = run(command);
      expect([command, (await wrong.ended).code]).toEqual([command, 2]);
      expect(wrong.output()).toContain(`listen.port: it must be a whole number from 0 to 65535, not "high" (${file})`);
      expect(wrong.output()).toContain('listen.hsot: there is no such setting; did you mean "listen.host"?');
    }

    writeFileSync(file, JSON.stringify({ data, listen: { port: 0 }, log: { level: 'debug' } }));
    const check = run(['config', 'check'], { FIELDBOOK_RELAY_LOG_LEVEL: 'info' });
    expect((await check.ended).code).toBe(0);
    expect(check.output()).toContain(`"${data}"  (${file})`);
    expect(check.output()).toMatch(/log\.level +"info" {2}\(FIELDBOOK_RELAY_LOG_LEVEL\)/);
    const relay = run(['serve']);
    await relay.says(/running at http:\/\/127\.0\.0\.1:\d+/);
    const tokens = run(['token', 'create', '--name', 'ada']);
    await tokens.says(/fbt_/);
    expect((await relay.stop()).code).toBe(0);
  });
});
