import type { Bench } from './harness.ts';
import { measureStart } from './web-start.ts';

const bench: Bench = {
  name: 'web',
  about:
    'The web UI in Chromium: its size, cold and warm starts, a query while it is typed, scrolling, charts, and its heap.',
  needs: ['core', 'node-agent', 'web'],
  run: async ({ smoke }) => [...(await measureStart(smoke))],
};
export default bench;
