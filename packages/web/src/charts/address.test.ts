import { describe, expect, it } from 'vitest';
import { gestureOf, readCharts, writeCharts } from './address.ts';
import type { ChartState } from './settings.ts';
import { USUAL_STATE } from './settings.ts';

const EVERYTHING: ChartState = {
  axis: 'metric:epoch/a*b',
  smoothing: { kind: 'gaussian', width: 2.5, unit: 'share' },
  logX: true,
  logY: true,
  clip: 99,
  envelope: false,
  centre: 'median',
  spread: 'ci',
  sharedY: true,
  linkedX: false,
  zoom: { min: -1.5, max: 2e-7 },
  zooms: { 'train/loss': { min: 2, max: 3.5 }, 'a~b': { min: -1e9, max: 0 } },
  words: 'loss ~ !0*',
  pins: ['train/loss', 'a~b'],
  folded: ['val'],
  combined: [['train/loss', 'val/loss']],
  heights: { 'train/loss': [-1, 1e3] },
  full: 'train/loss',
  added: 'scatter(a,b)~!',
};

describe('chart settings as a text', () => {
  it('[CHT-1] are empty when all is as usual, and come back whole', () => {
    expect(writeCharts(USUAL_STATE)).toBe('');
    expect(readCharts('')).toEqual(USUAL_STATE);
    expect(readCharts(writeCharts(EVERYTHING))).toEqual(EVERYTHING);
    for (const part of Object.keys(EVERYTHING) as (keyof ChartState)[]) {
      const state = { ...USUAL_STATE, [part]: EVERYTHING[part] };
      expect(readCharts(writeCharts(state)), part).toEqual(state);
    }
  });

  it('[CHT-1] need no escaping in an address beyond what names hold', () => {
    const text = writeCharts({ ...EVERYTHING, words: '', added: '' });
    expect(encodeURIComponent(text).replaceAll('%2F', '/').replaceAll('%3A', ':')).toBe(text);
  });

  it('[WEB-45] are one step of a gesture, and steps of their own where they are chosen one by one', () => {
    const text = (change: Partial<ChartState>): string => writeCharts({ ...USUAL_STATE, ...change });
    expect(gestureOf(text({ zoom: { min: 0, max: 9 } }), text({ zoom: { min: 1, max: 8 } }))).toBe('z');
    expect(gestureOf(text({}), text({ words: 'lo' }))).toBe('w');
    expect(gestureOf(text({ logY: true }), text({ logY: true, envelope: false }))).toBeNull();
    expect(gestureOf(text({ logX: true }), text({ logX: true, logY: true }))).toBeNull();
    expect(gestureOf(text({ words: 'lo' }), text({ words: 'los', sharedY: true }))).toBeNull();
    const smooth = (kind: 'ema' | 'mean', width: number): string => text({ smoothing: { kind, width, unit: 'share' } });
    expect(gestureOf(smooth('ema', 2), smooth('ema', 2.5))).toBe('se');
    expect(gestureOf(smooth('ema', 2), smooth('mean', 2))).toBeNull();
    // Every panel is zoomed for itself.
    const zooms = (a: number, b: number): string => text({ zooms: { a: { min: 0, max: a }, b: { min: 0, max: b } } });
    expect(gestureOf(zooms(9, 9), zooms(8, 9))).toBe('va');
    expect(gestureOf(zooms(8, 9), zooms(8, 8))).toBe('vb');
    expect(gestureOf(zooms(9, 9), zooms(8, 8))).toBeNull();
    // The step of a picture is moved; a chart is added, taken off, or made another.
    expect(gestureOf(text({ added: 'm;tphoto;s1|b;xa' }), text({ added: 'm;tphoto;s2|b;xa' }))).toBe('a');
    expect(gestureOf(text({ added: 'm;tphoto' }), text({ added: 'm;tphoto;s2' }))).toBe('a');
    expect(gestureOf(text({ added: 'p;aa!b1~2;ab' }), text({ added: 'p;aa!b1~3;ab' }))).toBe('a');
    expect(gestureOf(text({ added: 'p;aa!b1~2;ab' }), text({ added: 'p;aa!l!b1~2;ab' }))).toBeNull();
    expect(gestureOf(text({ added: 'm;tphoto;s1|b;xa' }), text({ added: 'm;tphoto;s1|b;xb' }))).toBeNull();
    expect(gestureOf(text({ added: 'b;xa' }), text({ added: 'm;tphoto|b;xa' }))).toBeNull();
    expect(gestureOf(text({ added: 'b;xa' }), text({}))).toBeNull();
  });

  it('[CHT-1] of somebody who means ill, or of another version, are passed over', () => {
    for (const text of [
      'zzz',
      'z5*1',
      'zNaN*2',
      'vloss*5*1',
      'v',
      'sq3',
      'se-1',
      'seInfinity',
      'xq',
      'c5',
      'h*',
      'j1',
      '??~~!',
      'lz',
      'p'.repeat(1e5),
    ])
      expect(readCharts(text), text.slice(0, 20)).toEqual(USUAL_STATE);
  });
});
