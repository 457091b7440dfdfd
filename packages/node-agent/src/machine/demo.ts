import { copyFile, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { FieldbookError, projectIdOf } from '@fieldbook/core';
import { PACKAGE_FOLDER } from '../package-folder.ts';
import type { Home } from './home.ts';

/** Journals of a real training, recorded; see examples/digits. */
const RECORDED = join(PACKAGE_FOLDER, '../../examples/digits/recorded');

/**
 * Copies the recorded journals into the home, where ingest takes them in like any others. A journal that is there
 * already is left alone, so doing it again changes nothing. Throws `not_found` where the examples are not installed.
 */
export async function copyDemo(home: Home, from = RECORDED): Promise<{ project: string; runs: number }> {
  const files = (await readdir(from, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.fbj'))
    .map((entry) => join(entry.parentPath, entry.name));
  if (files.length === 0)
    throw new FieldbookError('not_found', `The example runs are not installed (looked in ${from}).`);
  const runs = new Set<string>();
  let project = '';
  for (const file of files) {
    const path = relative(from, file);
    runs.add(dirname(path));
    project = projectIdOf(path.split('/')[0]!);
    await copyWhole(file, join(home.journals, path));
  }
  return { project, runs: runs.size };
}

/** Ingest must never see half a copy: it appears under its name complete. */
async function copyWhole(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  const there = await open(to, 'r').catch(() => undefined);
  if (there !== undefined) return there.close();
  const temporary = `${to}.copying`;
  try {
    await copyFile(from, temporary);
    await rename(temporary, to);
  } finally {
    await rm(temporary, { force: true });
  }
}
