import type { Bench, Row } from './harness.ts';
import { measureCharts } from './web-charts.ts';
import { measureHeap } from './web-heap.ts';
import { measurePeers } from './web-peers.ts';
import { measureScroll } from './web-scroll.ts';
import { measureSize } from './web-size.ts';
import { measureStart } from './web-start.ts';

/** One part a file, in this order; FIELDBOOK_BENCH_PARTS (`start,scroll`) runs some of them. */
const PARTS: Readonly<Record<string, (smoke: boolean) => Promise<Row[]>>> = {
  size: measureSize,
  start: measureStart,
  scroll: measureScroll,
  charts: measureCharts,
  heap: measureHeap,
  peers: measurePeers,
};

const bench: Bench = {
  name: 'web',
  about:
    'The web UI in Chromium: its size, cold and warm starts, a query while it is typed, scrolling, charts, its heap, and peers.',
  needs: ['core', 'node-agent', 'web'],
  run: async ({ smoke }) => {
    const wanted = process.env['FIELDBOOK_BENCH_PARTS']?.split(',') ?? Object.keys(PARTS);
    const rows: Row[] = [];
    for (const part of wanted) {
      const measure = PARTS[part];
      if (measure === undefined)
        throw new Error(`There is no part ${part}; there are ${Object.keys(PARTS).join(', ')}.`);
      rows.push(...(await measure(smoke)));
    }
    return rows;
  },
};
export default bench;
