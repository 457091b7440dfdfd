import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ROOT, row } from './harness.ts';
import type { Row } from './harness.ts';
import { benchAgent, benchBrowser } from './web-agent.ts';

/** The palette comes a moment later, unasked. */
const REST_MS = 700;

/**
 * The JavaScript that the first page loads before anything is asked of it, page and worker: what Chromium asked the
 * agent for, compressed with gzip here, so that neither a cache nor a server's choice of compression counts.
 */
export async function measureSize(): Promise<Row[]> {
  await using agent = await benchAgent();
  await using browser = await benchBrowser();
  const page = await browser.context.newPage();
  const asked = new Set<string>();
  let last = 0;
  // The service worker keeps all files of the page beside that; those requests are its own.
  browser.context.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (request.serviceWorker() === null && pathname.endsWith('.js') && pathname !== '/sw.js') {
      asked.add(pathname);
      last = performance.now();
    }
  });
  await page.goto(agent.url);
  await page.getByRole('heading', { level: 1 }).first().waitFor();
  // The page listens to its agent for as long as it is open: it is at rest when it has asked for no more code for a while.
  while (performance.now() - last < REST_MS) await page.waitForTimeout(100);
  const dist = join(ROOT, 'packages/web/dist');
  const files = new Set(readdirSync(dist, { recursive: true }).map((file) => `/${String(file).replaceAll('\\', '/')}`));
  let initial = 0;
  for (const file of asked) {
    if (!files.has(file)) throw new Error(`The page asked for ${file}, which is not among its files.`);
    initial += gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;
  }
  return [
    row({
      system: 'fieldbook in Chromium',
      case: 'first page, page and worker',
      figure: 'initial_js_gzip_bytes',
      value: initial,
      note: `${asked.size} files`,
    }),
  ];
}
