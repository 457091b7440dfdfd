import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const SOURCE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Result {
  violations: { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }[];
}

/** What axe finds wrong on the page as it is: WCAG 2.2 A and AA, or `only` these rules; a line an element. */
export async function audit(
  page: Page,
  options: { within?: string; except?: readonly string[]; only?: readonly string[] } = {},
): Promise<string[]> {
  // Through the debugger, not as a script of the page: its content policy lets none in.
  await page.evaluate(SOURCE);
  const { violations } = await page.evaluate<
    Result,
    { within: string; except: readonly string[]; only: readonly string[] | null }
  >(
    ({ within, except, only }) =>
      (globalThis as unknown as { axe: { run: (root: string, options: object) => Promise<Result> } }).axe.run(within, {
        runOnly:
          only === null
            ? { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }
            : { type: 'rule', values: only },
        rules: Object.fromEntries(except.map((rule) => [rule, { enabled: false }])),
        resultTypes: ['violations'],
      }) as Promise<Result>,
    { within: options.within ?? 'html', except: options.except ?? [], only: options.only ?? null },
  );
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(
      ({ html, failureSummary = '' }) =>
        `${id}: ${help}\n  ${html.slice(0, 200)}\n  ${failureSummary.split('\n').slice(1, 2).join(' ').trim()}`,
    ),
  );
}
