import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, describe, expect, it } from 'vitest';
import type { FieldbookError } from '@fieldbook/core';
import type { Setting, SettingKey } from './index.ts';
import { loadConfig, SETTINGS, shownSetting, variableOf } from './index.ts';
import { size, span } from './kinds.ts';

const KEYS = Object.keys(SETTINGS) as SettingKey[];

function fileOf(value: unknown): string {
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-config-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'relay.json');
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
  return path;
}

function problemsOf(sources: Parameters<typeof loadConfig>[0]): string[] {
  try {
    loadConfig(sources);
  } catch (error) {
    expect((error as FieldbookError).code).toBe('config_invalid');
    const { problems } = (error as FieldbookError).details as { problems?: string[] };
    return problems ?? [(error as FieldbookError).message];
  }
  throw new Error('It was taken.');
}

describe('the configuration of a relay', () => {
  it('[OPS-1] takes each setting from a flag, else the environment, else the file, else its default', () => {
    const file = fileOf({ data: '/srv/a', listen: { port: 1, host: '::1' }, access: { hosts: ['a', 'b'] } });
    const env = {
      FIELDBOOK_RELAY_LISTEN_PORT: '2',
      FIELDBOOK_RELAY_LISTEN_HOST: '0.0.0.0',
      FIELDBOOK_RELAY_LOG_LEVEL: '',
    };
    const { config, origins } = loadConfig({
      file,
      env,
      flags: { 'listen.port': '3', 'access.origins': ['x', 'y,z'] },
    });
    expect(config).toMatchObject({
      data: '/srv/a',
      'listen.port': 3,
      'listen.host': '0.0.0.0',
      'access.hosts': ['a', 'b'],
      'access.origins': ['x', 'y', 'z'],
      'log.level': 'info',
    });
    expect(origins).toMatchObject({
      data: file,
      'listen.port': '--port',
      'listen.host': 'FIELDBOOK_RELAY_LISTEN_HOST',
      'log.level': 'default',
    });
    const named = loadConfig({ env: { FIELDBOOK_RELAY_CONFIG: file } });
    expect(named.config['listen.port']).toBe(1);
  });

  it('[OPS-1] names every wrong key and value with its place, also where a stronger source hides it', () => {
    const file = fileOf({ listen: { port: 'x', prot: 1 }, acces: {}, log: 'debug', access: { hosts: ['a', 7] } });
    const problems = problemsOf({
      file,
      env: { FIELDBOOK_RELAY_LOG_LEVEL: 'loud' },
      flags: { 'listen.port': '70000' },
    });
    expect(problems.map((problem) => problem.replaceAll(file, 'FILE'))).toEqual([
      'listen.prot: there is no such setting; did you mean "listen.port"? (FILE)',
      'acces: there is no such setting (FILE)',
      'log: it must be an object (FILE)',
      'listen.port: it must be a whole number from 0 to 65535, not "x" (FILE)',
      'listen.port: it must be a whole number from 0 to 65535, not 70000 (--port)',
      'access.hosts: entry 2: it must be a text, not 7 (FILE)',
      'log.level: it must be "debug" or "info" or "warn" or "error" or "silent", not "loud" (FIELDBOOK_RELAY_LOG_LEVEL)',
    ]);
    expect(problemsOf({ file: fileOf('{"listen": '), env: {} })[0]).toContain('is not JSON');
    expect(problemsOf({ file: '/nowhere/relay.json', env: {} })[0]).toContain('cannot be read');
    expect(problemsOf({ file: fileOf([]), env: {} })[0]).toContain('the whole file: it must be an object');
    expect(problemsOf({ file: fileOf('{"__proto__": {"a": 1}}'), env: {} })[0]).toContain('__proto__');
  });

  it('[ACC-62] names what is wrong about signing in: the setting, the rule and its field', () => {
    const oidc = {
      issuer: 'https://id.example.org/realms/team',
      clientId: 'fieldbook',
      publicUrl: 'https://relay.example.org/',
      allow: [
        { emailDomain: 'Example.org', role: 'viewer' },
        { group: 'Vision', role: 'member', projects: ['My Project', 'my project'] },
      ],
    };
    const { config } = loadConfig({ file: fileOf({ oidc }), env: {} });
    expect(config['oidc.allow']).toEqual([
      { by: 'emailDomain', is: 'example.org', role: 'viewer', projects: null },
      { by: 'group', is: 'Vision', role: 'member', projects: [expect.stringMatching(/^my.project$/)] },
    ]);
    const env = { FIELDBOOK_RELAY_OIDC_ALLOW: '[{"email": "ada@example.org", "role": "admin"}]' };
    expect(loadConfig({ file: fileOf({ oidc }), env }).config['oidc.allow']).toEqual([
      { by: 'email', is: 'ada@example.org', role: 'admin', projects: null },
    ]);
    for (const [change, problem] of [
      [{ issuer: 'http://id.example.org' }, 'oidc.issuer: it must be an https address (http on this machine only)'],
      [{ issuer: 'https://ada:pw@id.example.org' }, 'oidc.issuer: it must be an https address'],
      [{ clientId: null }, 'oidc.clientId: signing in at oidc.issuer needs it'],
      [{ publicUrl: null }, 'oidc.publicUrl: signing in at oidc.issuer needs it'],
      [{ publicUrl: 'https://example.org/relay' }, 'oidc.publicUrl: a relay has a host name of its own'],
      [{ scopes: ['email'] }, 'oidc.scopes: openid must be among them'],
      [{ allow: [] }, 'oidc.allow: without a rule nobody could sign in'],
      [{ allow: 'all' }, 'oidc.allow: it must be a list of rules'],
      [
        { allow: [oidc.allow[0], { role: 'admin' }] },
        'oidc.allow: rule 2: it must have one of email, emailDomain, group',
      ],
      [{ allow: [{ email: 'a@b', group: 'c', role: 'admin' }] }, 'oidc.allow: rule 1: it must have one of'],
      [{ allow: [{ email: 'example.org', role: 'admin' }] }, 'oidc.allow: rule 1: email must be an address'],
      [{ allow: [{ emailDomain: '@example.org', role: 'admin' }] }, 'oidc.allow: rule 1: emailDomain must be'],
      [{ allow: [{ group: 'a', role: 'owner' }] }, 'oidc.allow: rule 1: role must be'],
      [{ allow: [{ group: 'a', role: 'viewer', projects: [] }] }, 'oidc.allow: rule 1: projects must be a list'],
      [
        { allow: [{ group: 'a', role: 'viewer', project: 'x' }] },
        'oidc.allow: rule 1: there is no "project" in a rule',
      ],
      [{ sessionLifetime: '5 s' }, 'oidc.sessionLifetime: it must be a duration'],
      [{ clientSecret: 'x' }, 'oidc.clientSecret: there is no such setting'],
    ] as [Record<string, unknown>, string][]) {
      const [found] = problemsOf({ file: fileOf({ oidc: { ...oidc, ...change } }), env: {} });
      expect(found).toContain(problem);
    }
    expect(shownSetting('oidc.allow', config)).toContain('"role":"member"');
  });

  it('[DSC-1] announces nothing unless it is told to, and never what others do not reach', () => {
    expect(loadConfig({ env: {} }).config['discovery.announce']).toBe(false);
    const reached = { FIELDBOOK_RELAY_LISTEN_HOST: '0.0.0.0', FIELDBOOK_RELAY_DISCOVERY_ANNOUNCE: 'true' };
    expect(loadConfig({ env: reached }).config['discovery.announce']).toBe(true);
    expect(loadConfig({ env: reached, flags: { 'discovery.announce': 'false' } }).config['discovery.announce']).toBe(
      false,
    );
    expect(problemsOf({ file: fileOf({ discovery: { announce: true } }), env: {} })[0]).toContain(
      'discovery.announce: others do not reach a relay that listens on this machine only',
    );
    expect(problemsOf({ file: fileOf({ discovery: { announce: 'yes' } }), env: {} })[0]).toContain(
      'discovery.announce: it must be true or false, not "yes"',
    );
  });

  it('[OPS-1] tells variables that name no setting, and does not stop for them', () => {
    const env = { FIELDBOOK_RELAY_SERVICE_HOST: '10.0.0.1', FIELDBOOK_RELAY_DATA: '/srv', OTHER: '1' };
    expect(loadConfig({ env }).unknownVariables).toEqual(['FIELDBOOK_RELAY_SERVICE_HOST']);
    expect(variableOf('a.bigThing')).toBe('FIELDBOOK_RELAY_A_BIG_THING');
    expect(new Set(KEYS.map(variableOf)).size).toBe(KEYS.length);
  });

  it('[OPS-1] reads sizes and durations with their units, and nothing without one where it could mean several', () => {
    expect(['64 MiB', '1.5GB', '7', 12].map((given) => size().parse(given))).toEqual([64 * 2 ** 20, 1.5e9, 7, 12]);
    expect(['30 s', '5min', '12 h', '90d', '20 ms'].map((given) => span().parse(given))).toEqual([
      30_000,
      300_000,
      43_200_000,
      90 * 86_400_000,
      20,
    ]);
    for (const wrong of [30, '30', '-1 s', '1 week', '', null, '1e9 s'])
      expect(() => span().parse(wrong)).toThrow('duration');
    for (const wrong of [-1, 1.5, '5 parsec', {}, '99999999 TB']) expect(() => size().parse(wrong)).toThrow('size');
  });

  it('[OPS-24] durations are printed as they are written, and mean the same', () => {
    const texts = ['0 s', '20 ms', '1500 ms', '90 s', '5 min', '90 min', '12 h', '36 h', '90 d'];
    for (const text of texts) expect(span().written!(span().parse(text))).toBe(text);
    const { config } = loadConfig({ env: { FIELDBOOK_RELAY_RETENTION_AUDIT: '400 d' } });
    const shown = (key: SettingKey): string => shownSetting(key, config, { forPeople: true });
    expect(shown('retention.orphans')).toBe('"90 d"');
    expect(shown('retention.audit')).toBe('"400 d"');
    expect(shown('archive.keep')).toBe('null');
    expect(shown('history.size')).toBe(String(2 ** 30));
    // Programs go on reading numbers.
    expect(shownSetting('retention.orphans', config)).toBe(String(90 * 86_400_000));
    for (const key of KEYS) {
      const { kind } = SETTINGS[key] as Setting<unknown>;
      if (kind.written !== undefined) expect([key, kind.parse(kind.written(config[key]))]).toEqual([key, config[key]]);
    }
  });

  it('[OPS-1] the operations page lists every setting, its default and nothing else', () => {
    const page = readFileSync(new URL('../../../../docs/operations.md', import.meta.url), 'utf8');
    const listed = [...page.matchAll(/^\| `([a-z][A-Za-z.]*)` \| `([^`]*)` \|/gm)].map(([, key, value]) => [
      key,
      value,
    ]);
    expect(listed.map(([key]) => key)).toEqual(KEYS);
    for (const [key, value] of listed) {
      const { kind, default: standard } = SETTINGS[key as SettingKey] as Setting<unknown>;
      const written = key === 'data' ? standard : value === '[]' ? [] : kind.fromText(value === 'null' ? '' : value!);
      expect([key, kind.parse(written)]).toEqual([key, standard]);
    }
  });

  it('[OPS-1] every setting says in one sentence what it is, and secrets are never shown', () => {
    for (const key of KEYS) expect((SETTINGS[key] as Setting<unknown>).about.length).toBeGreaterThan(10);
    const secrets = KEYS.filter((key) => (SETTINGS[key] as Setting<unknown>).secret === true);
    const { config } = loadConfig({ env: {} });
    for (const key of secrets) expect(shownSetting(key, { ...config, [key]: 'hush' })).toBe('(set)');
  });
});
