import { describe, expect, it } from 'vitest';
import { usableAddresses, parseAddress, printAddress, reachOf } from './address.ts';
import {
  cleanName,
  decodeAnnouncement,
  encodeAnnouncement,
  isHostName,
  isTagOf,
  nameWithNumber,
  workspaceTag,
} from './announcement.ts';
import { decodeTxt, encodeTxt } from './txt.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const entry = (text: string): number[] => [utf8(text).length, ...utf8(text)];
const WORKSPACE = '01k9v3q8g2h4j6m8n0p2r4t6v8';

describe('what is announced', () => {
  it('[DSC-2] tells members which workspace it is of, and nothing to anybody else', () => {
    const [one, other] = [Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), new Uint8Array(8)];
    const tag = workspaceTag(WORKSPACE, one);
    // The bytes are on the wire: another version has to find the same.
    expect(tag).toBe('0102030405060708-dee22627dd76f0b88609');
    expect([isTagOf(tag, WORKSPACE), isTagOf(tag, WORKSPACE.replace('0', '1')), isTagOf('', WORKSPACE)]).toEqual([
      true,
      false,
      false,
    ]);
    expect(isTagOf(workspaceTag(WORKSPACE, other), WORKSPACE)).toBe(true);
    const parts = workspaceTag(WORKSPACE, other).match(/.{4}/g)!;
    expect(parts.filter((part) => tag.includes(part))).toEqual([]);
    const txt = encodeAnnouncement({
      kind: 'relay',
      versions: [1],
      tls: true,
      host: 'relay.example.org',
      workspace: tag,
    });
    expect([...decodeTxt(txt)]).toEqual([
      ['txtvers', '1'],
      ['kind', 'relay'],
      ['v', '1'],
      ['tls', '1'],
      ['host', 'relay.example.org'],
      ['ws', tag],
    ]);
    expect(new TextDecoder().decode(txt)).not.toContain(WORKSPACE.slice(0, 8));
    expect(decodeAnnouncement('relay', txt)).toEqual({
      name: 'relay',
      kind: 'relay',
      versions: [1],
      tls: true,
      host: 'relay.example.org',
      workspace: tag,
    });
  });

  it('[DSC-3] is read from TXT records of anybody: the first of a key counts, and what is none is passed over', () => {
    const txt = Uint8Array.from([
      ...entry('TXTVERS=1'),
      ...entry('kind=agent'),
      ...entry('kind=relay'),
      ...entry('=nothing'),
      ...entry('bare'),
      3,
      120,
      61,
      0xff,
      0,
      ...entry('a=b=c'),
      ...entry('bad\u001bkey=1'),
      // Torn: says 200 bytes.
      200,
      116,
      61,
      49,
    ]);
    expect([...decodeTxt(txt)]).toEqual([
      ['txtvers', '1'],
      ['kind', 'agent'],
      ['bare', ''],
      ['a', 'b=c'],
    ]);
    const many = Uint8Array.from(Array.from({ length: 300 }, (_, index) => entry(`k${index}=1`)).flat());
    expect(decodeTxt(many).size).toBe(32);
    const long = Uint8Array.from([
      ...Array.from({ length: 6 }, (_, index) => entry(`k${index}=${'x'.repeat(240)}`)).flat(),
      ...entry('late=1'),
    ]);
    expect([decodeTxt(long).size, decodeTxt(long).has('late')]).toEqual([5, false]);
    expect(() => encodeTxt([['key', 'x'.repeat(255)]])).toThrow('cannot be told');
    expect(() => encodeTxt([['a=b', '']])).toThrow('cannot be told');
    expect([...encodeTxt([])]).toEqual([0]);
  });

  it('[DSC-3] is nothing when it is of something else, and values that are none are left out', () => {
    const read = (text: string): ReturnType<typeof decodeAnnouncement> =>
      decodeAnnouncement('x', Uint8Array.from(text.split(' ').flatMap(entry)));
    expect([read('kind=agent'), read('txtvers=1 kind=printer'), read('txtvers=2 kind=agent'), read('')]).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect(read('txtvers=1 kind=agent v=2,1,x,-1,99999999,3 tls=yes host=10.0.0.1 ws=me')).toEqual({
      name: 'x',
      kind: 'agent',
      versions: [2, 1, 3],
      tls: false,
      host: null,
      workspace: null,
    });
    const hosts = [
      'Relay.example.org',
      'a;rm',
      'a b',
      '$(x)',
      'a..b',
      '-a.b',
      '10.0.0.1',
      `${'a'.repeat(64)}.b`,
      '[::1]',
      'a@b',
      'a/b',
      'a:1',
    ];
    expect(hosts.filter(isHostName)).toEqual(['Relay.example.org']);
  });

  it('[DSC-3] names do nothing to a terminal, hide nothing, and are short', () => {
    expect(cleanName('gpu-1')).toBe('gpu-1');
    expect(cleanName('  Büro 3.OG – 東京 🚀  ')).toBe('Büro 3.OG – 東京 🚀');
    const hostile = [
      'a\u001b[2J\u001b[31mred',
      'a\nb\r\tc',
      '\u009b31m',
      'a\u202egpj.exe',
      'a\u200bb\u2066',
      '\u2028',
      'x\u0000y',
      '\ud800',
      '\ufff9\ue000',
    ];
    for (const name of hostile) expect([name, /[\p{C}\p{Zl}\p{Zp}]/u.test(cleanName(name))]).toEqual([name, false]);
    expect(['', '   ', '\n'].map(cleanName)).toEqual(['?', '?', '\ufffd']);
    expect(utf8(cleanName('ä'.repeat(500))).length).toBe(62);
    expect(nameWithNumber('gpu', 1)).toBe('gpu');
    expect(nameWithNumber('ä'.repeat(31), 12)).toBe(`${'ä'.repeat(29)} (12)`);
  });
});

describe('addresses', () => {
  it('[DSC-4] are offered when they are near or private, the nearest first', () => {
    const own = [
      { address: '203.0.113.9', prefix: 20 },
      { address: '192.168.1.5', prefix: 24 },
      { address: 'fd00:1::5', prefix: 64 },
      { address: 'fe80::1', prefix: 64 },
    ];
    const claimed = [
      '8.8.8.8',
      '10.1.2.3',
      'fd00:1::9',
      '203.0.127.1',
      '203.0.128.1',
      '192.168.1.7',
      'fd00:2::9',
      'fe80::9',
      '127.0.0.1',
      '::1',
      '0.0.0.0',
      '224.0.0.251',
      '::',
      '255.255.255.255',
      '169.254.1.1',
      '::ffff:127.0.0.1',
      '::ffff:10.1.2.3',
      'x',
      '2001:db8::1',
    ];
    expect(usableAddresses(claimed, own)).toEqual(['192.168.1.7', '203.0.127.1', 'fd00:1::9', '10.1.2.3', 'fd00:2::9']);
    expect(usableAddresses(['169.254.1.1'], [{ address: '169.254.9.9', prefix: 16 }])).toEqual(['169.254.1.1']);
    expect(usableAddresses(claimed, [])).toEqual(
      ['10.1.2.3', 'fd00:2::9', 'fd00:1::9', '192.168.1.7'].toSorted(
        (a, b) => Number(a.includes(':')) - Number(b.includes(':')) || (a < b ? -1 : 1),
      ),
    );
  });

  it('[DSC-4] are read and printed as people write them', () => {
    const texts = [
      '1.2.3.4',
      '::',
      '::1',
      'fe80::1',
      '1:2:3:4:5:6:7:8',
      '1:0:0:4::8',
      '2001:db8::1:0:0:1',
      'fd00::',
      'a::b:0:0:c',
    ];
    for (const text of texts) expect(printAddress(parseAddress(text)!)).toBe(text);
    expect(printAddress(parseAddress('FE80:0::0001%eth0')!)).toBe('fe80::1');
    expect(printAddress(parseAddress('::ffff:10.0.0.1')!)).toBe('10.0.0.1');
    for (const wrong of [
      '',
      '1.2.3',
      '1.2.3.256',
      '1.2.3.4.5',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7::8',
      'g::',
      '12345::',
      '1.2.3.4::',
      ' 1.2.3.4',
    ])
      expect([wrong, parseAddress(wrong)]).toEqual([wrong, null]);
    expect(
      [
        '10.0.0.1',
        '172.31.0.1',
        '172.32.0.1',
        '192.168.0.1',
        '169.254.0.1',
        '239.1.1.1',
        'fd00::1',
        'fe80::1',
        'ff02::fb',
        '2001:db8::1',
      ].map((text) => reachOf(parseAddress(text)!)),
    ).toEqual(['private', 'private', 'public', 'private', 'link', 'nowhere', 'private', 'link', 'nowhere', 'public']);
  });
});
