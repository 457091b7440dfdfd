import { describe, expect, it } from 'vitest';
import type { AddedChart } from './definition.ts';
import { readAdded, writeAdded } from './definition.ts';

const CHARTS: readonly AddedChart[] = [
  {
    kind: 'scatter',
    x: 'a:params/lr',
    y: 'm:val/acc.max',
    colour: 'a:params/opt|mizer;x!*~',
    logX: true,
    logY: false,
    front: { x: 'min', y: 'max' },
  },
  {
    kind: 'parallel',
    axes: [
      { column: 'a:params/lr', log: true, brush: { low: 0.001, high: 1e-2 } },
      { column: 'a:params/opt', log: false, brush: { values: ['adam', 'a!b~c', ''] } },
      { column: 'created', log: false, brush: null },
    ],
    colour: 'm:val/acc.max',
  },
  { kind: 'bars', column: 'm:val/acc.max', by: 'a:params/opt', spread: 'ci', descending: false },
  { kind: 'bars', column: 'duration', by: null, spread: 'std', descending: true },
  { kind: 'media', series: ['val/samples', 'weird;path|x'], step: -1.5e-7 },
  { kind: 'media', series: ['val/samples'], step: null },
];

describe('added charts', () => {
  it('[PLT-1] come back from their text as they were, whatever is in the names', () => {
    expect(readAdded(writeAdded(CHARTS))).toEqual(CHARTS);
    for (const chart of CHARTS) expect(readAdded(writeAdded([chart]))).toEqual([chart]);
    expect(writeAdded([])).toBe('');
    expect(readAdded('')).toEqual([]);
  });

  it('[PLT-1] are short, and survive an address', () => {
    const text = writeAdded([CHARTS[0]!]);
    expect(writeAdded([{ ...(CHARTS[0] as AddedChart & { kind: 'scatter' }), colour: null }])).toBe(
      's;xa:params/lr;ym:val/acc.max;lx;f-+',
    );
    expect(new URLSearchParams(new URLSearchParams({ c: text }).toString()).get('c')).toBe(text);
  });

  it('[PLT-1] leaves out what cannot be read', () => {
    const good = writeAdded([CHARTS[3]!]);
    expect(readAdded(`q;xsomething|${good}|s;xonly|p|p;c1|m;s5|b|;;;|s;x;y`)).toEqual([CHARTS[3]]);
    expect(readAdded('p;aa:x!b5~1!ywhat')).toEqual([
      { kind: 'parallel', axes: [{ column: 'a:x', log: false, brush: null }], colour: null },
    ]);
    expect(readAdded('m;tx;sabc')).toEqual([{ kind: 'media', series: ['x'], step: null }]);
    expect(readAdded(Array.from({ length: 50 }, () => good).join('|'))).toHaveLength(12);
  });
});
