import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** An empty folder that is gone after the test: a home, or whatever a test writes to. Call it inside of a test. */
export function emptyFolder(label = 'test'): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), `fieldbook-${label}-`)));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
