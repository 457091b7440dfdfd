import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { DeviceId, ProjectId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { ViewRecord } from '../record/index.ts';
import { encodeDirectoryRecord, encodeRecord, linkId } from '../record/index.ts';
import { SeededRandom, testEditId, testHlc } from '../testing/index.ts';
import { Workspace } from './workspace.ts';

const mnist = 'mnist' as ProjectId;
const VIEW = testEditId(900);
const silent = { name: null, search: null, removed: null, usual: null };

function said(at: number, what: Partial<ViewRecord>): ViewRecord {
  return {
    kind: 'view',
    view: VIEW,
    project: mnist,
    ...silent,
    by: 'ada',
    device: 'd000000000000000000000000' as DeviceId,
    at: testHlc(at, 0),
    extra: {},
    ...what,
  };
}

function synced(from: Y.Doc, to: Y.Doc): void {
  Y.applyUpdate(to, Y.encodeStateAsUpdate(from, Y.encodeStateVector(to)));
}

describe('saved views', () => {
  it('[VIEW-1] keep the newest of each thing said, in whatever order the records come', () => {
    const records: ViewRecord[] = [
      said(1, { name: 'first', search: '?q=a', by: 'grace' }),
      said(2, { name: 'renamed' }),
      said(3, { search: '?q=b', by: 'emmy' }),
      said(3, { name: 'tied', device: 'd100000000000000000000000' as DeviceId }),
      said(3, { name: 'tied, lower', device: 'd000000000000000000000000' as DeviceId }),
      said(4, { usual: true }),
      said(5, { view: testEditId(901), name: 'gone', search: '', removed: true }),
      said(6, { view: testEditId(902), name: 'nothing to show yet' }),
      said(7, { view: testEditId(903), name: 'other', search: '?sort=name', usual: true }),
      said(8, { view: testEditId(904), name: 'of another project', search: '', project: 'other' as ProjectId }),
    ];
    const expected = [
      { id: testEditId(903), name: 'other', search: '?sort=name', usual: true, by: 'ada' },
      { id: VIEW, name: 'tied', search: '?q=b', usual: false, by: 'emmy' },
    ];
    const random = new SeededRandom(11);
    for (let round = 0; round < 50; round++) {
      const workspace = new Workspace(new Y.Doc());
      const left = records.map((record, index) => [testEditId(index), record] as const);
      while (left.length > 0) workspace.addView(...left.splice(random.int(left.length), 1)[0]!);
      expect(workspace.views(mnist)).toMatchObject(expected);
    }
  });

  it('[VIEW-1] merges a name given on one machine with a content saved on another, both ways', () => {
    const [here, there] = [new Y.Doc(), new Y.Doc()];
    new Workspace(here).addView(testEditId(1), said(1, { name: 'mine', search: '?q=a', usual: true }));
    synced(here, there);
    new Workspace(here).addView(testEditId(2), said(2, { name: 'ours' }));
    new Workspace(there).addView(testEditId(3), said(2, { search: '?q=b' }));
    new Workspace(there).addView(testEditId(4), said(3, { usual: false }));
    synced(here, there);
    synced(there, here);
    const views = new Workspace(here).views(mnist);
    expect(views).toMatchObject([{ name: 'ours', search: '?q=b', usual: false }]);
    expect(new Workspace(there).views(mnist)).toEqual(views);
  });

  it('[VIEW-1] a record that cannot be read hides nothing but itself', () => {
    const doc = new Y.Doc();
    const workspace = new Workspace(doc);
    workspace.addView(testEditId(1), said(1, { name: 'whole', search: '' }));
    doc.getMap('x-views').set('broken', new Uint8Array([1, 118]));
    doc.getMap('x-views').set('newer', encodeRecord({ k: 'view-of-tomorrow' }));
    doc.getMap('x-views').set('nobody', encodeRecord({ k: 'view', i: 'x', p: 'mnist', y: '', d: '', h: '' }));
    expect(workspace.views(mnist).map(({ name }) => name)).toEqual(['whole']);
    expect(() => workspace.addView(testEditId(2), said(2, { search: 'https://elsewhere' }))).toThrow(
      expect.objectContaining({ code: 'record_malformed' }),
    );
  });
});

describe('links', () => {
  it('[VIEW-3] lead to the address that their id is made of, and nowhere else', () => {
    const doc = new Y.Doc();
    const workspace = new Workspace(doc);
    const target = '/p/mnist?q=tags+has+"größer"';
    const id = workspace.addLink(target);
    expect(id).toMatch(/^[0-9a-z]{12}$/);
    expect(workspace.addLink(target)).toBe(id);
    expect(workspace.link(id)).toBe(target);
    doc.getMap('x-links').set(id, encodeDirectoryRecord({ kind: 'link', target: '/p/other', extra: {} }));
    expect(workspace.link(id)).toBeUndefined();
    expect(workspace.link('0'.repeat(12))).toBeUndefined();
  });

  it.each([
    ['//evil.example/p', 'record_malformed'],
    ['/\\evil.example', 'record_malformed'],
    ['https://evil.example', 'record_malformed'],
    ['javascript:alert(1)', 'record_malformed'],
    ['/p/a b', 'record_malformed'],
    ['', 'record_malformed'],
  ])('[VIEW-3] refuse %j', (target, code) => {
    expect(() => new Workspace(new Y.Doc()).addLink(target)).toThrow(expect.objectContaining({ code }));
    const doc = new Y.Doc();
    doc.getMap('x-links').set(linkId(target), encodeRecord({ k: 'link', t: target }));
    expect(new Workspace(doc).link(linkId(target))).toBeUndefined();
  });

  it('[VIEW-3] refuse an address that is too long', () => {
    const long = `/${'a'.repeat(LIMITS.addressLength)}`;
    expect(() => new Workspace(new Y.Doc()).addLink(long)).toThrow(
      expect.objectContaining({ code: 'record_malformed' }),
    );
    expect(new Workspace(new Y.Doc()).addLink(long.slice(1).replace('a', '/'))).toHaveLength(12);
  });
});
