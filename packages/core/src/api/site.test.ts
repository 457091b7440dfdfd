import { describe, expect, it } from 'vitest';
import { siteFile, siteHeaders } from './site.ts';

const built = new Set(['/index.html', '/frame.html', '/sw.js', '/assets/index-BJ3k9dQz.js', '/favicon.svg']);
const file = (path: string, files: ReadonlySet<string> = built): string | null =>
  siteFile(path, (name) => files.has(name));

describe('the files of the web UI', () => {
  it('are what their paths name, and index.html for the pages of the app', () => {
    for (const path of ['/', '/p/digits', '/p/digits/compare', '/sync', '/nowhere', '/p/vision%2Fv1.2', '/%E0%A4%A'])
      expect([path, file(path)]).toEqual([path, '/index.html']);
    for (const name of built) expect(file(name)).toBe(name);
    for (const path of ['/gone.js', '/assets/old-00000000.js', '/../secret.txt', '/%2e%2e/secret.txt'])
      expect([path, file(path)]).toEqual([path, null]);
    expect(file('/', new Set())).toBeNull();
  });

  it('are pages also where the name of a run or project ends like a file', () => {
    expect(file('/r/lr-0.1')).toBe('/index.html');
    expect(file('/p/gpt-3.5')).toBe('/index.html');
  });

  it('carry what they may do: pages our own things only, the frame nothing of ours', () => {
    const page = siteHeaders('/index.html', 'relay.example:4280', ['ws', 'wss']);
    expect(page['content-security-policy']).toContain("script-src 'self';");
    expect(page['content-security-policy']).toContain(
      "connect-src 'self' ws://relay.example:4280 wss://relay.example:4280;",
    );
    expect(page['content-security-policy']).toContain(
      'frame-src http://relay.example:4280/frame.html https://relay.example:4280/frame.html blob:;',
    );
    const frame = siteHeaders('/frame.html', 'relay.example:4280', ['ws', 'wss']);
    expect(frame['content-security-policy']).toMatch(/^sandbox allow-scripts; default-src 'none';/);
    expect(frame['content-security-policy']).toContain("connect-src 'none'");
    expect(frame['connection-allowlist']).toBe('()');
    expect(siteHeaders('/index.html', '127.0.0.1:4270', ['ws'])['content-security-policy']).not.toContain('wss:');
  });

  it('let no Host header write into the policy', () => {
    const { 'content-security-policy': policy } = siteHeaders('/', "x; script-src 'unsafe-inline'", ['ws']);
    expect(policy!.match(/script-src[^;]*/g)).toEqual(["script-src 'self'"]);
    expect(policy).toContain("connect-src 'self';");
    expect(policy).toContain("frame-src 'none' blob:;");
  });

  it('are kept for ever where their names carry a hash, and asked for again elsewhere', () => {
    expect(siteHeaders('/assets/index-BJ3k9dQz.js', 'h', [])).toMatchObject({
      'cache-control': 'public, max-age=31536000, immutable',
      'content-type': 'text/javascript; charset=utf-8',
    });
    for (const name of ['/index.html', '/sw.js', '/favicon.svg'])
      expect(siteHeaders(name, 'h', [])['cache-control']).toBe('no-cache');
  });
});
