import { describe, expect, it } from 'vitest';
import { readCharts, writeCharts } from './address.ts';
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
