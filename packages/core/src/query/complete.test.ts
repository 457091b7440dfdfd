import { describe, expect, it } from 'vitest';
import { foldRun } from '../fold/run.ts';
import type { AttributePath, ProjectId, RunId } from '../ids.ts';
import { makeCard } from '../testing/records.ts';
import { completions } from './complete.ts';
import { RunTable } from './table.ts';

const metric = { count: 1, last: 1, lastStep: 1, min: 1, minStep: 1, max: 1, maxStep: 1, nonFinite: 0 };
const table = RunTable.from(
  ['a', 'b', 'c'].map((id, index) =>
    foldRun(
      id as RunId,
      'mnist' as ProjectId,
      [
        makeCard({
          run: id as RunId,
          tags: index === 0 ? ['baseline', 'two words'] : ['baseline'],
          group: index < 2 ? 'first' : null,
          attributes: new Map<AttributePath, string | number>([
            ['params/lr' as AttributePath, index],
            ['params/opt' as AttributePath, index < 2 ? 'adam' : 'true'],
            ['a b' as AttributePath, 1],
            ['status' as AttributePath, 1],
          ]),
          metrics: new Map([['val/loss' as AttributePath, metric]]),
        }),
      ],
      [],
    ),
  ),
);

/** Offers where `|` stands in the text. */
function at(marked: string): string[] {
  const cursor = marked.indexOf('|');
  return completions(marked.replace('|', ''), cursor, table.schema({ now: 0 })).map(({ text }) => text);
}

/** The text after taking the first offer. */
function taken(marked: string): string {
  const cursor = marked.indexOf('|');
  const text = marked.replace('|', '');
  const first = completions(text, cursor, table.schema({ now: 0 }))[0]!;
  return text.slice(0, first.start) + first.text + text.slice(first.end);
}

describe('completions', () => {
  it('[QRY-21] offers paths where a term begins, quoted where they have to be', () => {
    expect(at('|')).toEqual(expect.arrayContaining(['status', 'params/lr', '"a b"', '"status"', 'val/loss', 'not']));
    expect(at('par|')).toEqual(['params/lr', 'params/opt']);
    expect(at('opt|')).toEqual(['params/opt']);
    expect(at('status:running and val/l|')).toEqual(['val/loss']);
    expect(at('val/loss.m|')).toEqual(['val/loss.min', 'val/loss.max', 'val/loss.minStep', 'val/loss.maxStep']);
    expect(at('(not par|')).toEqual(['params/lr', 'params/opt']);
    expect(at('a:par|')).toEqual(['a:params/lr', 'a:params/opt']);
    expect(at('"a |')).toEqual(['"a b"']);
  });

  it('[QRY-21] offers the tests that a path can answer', () => {
    expect(at('params/lr |')).toEqual(expect.arrayContaining(['<', '>=', '=', 'exists', 'and']));
    expect(at('params/lr |')).not.toContain('~');
    expect(at('name |')).toEqual(expect.arrayContaining(['~', 'has']));
    expect(at('params/lr exists |').slice(0, 2)).toEqual(['and', 'or']);
  });

  it('[QRY-21] offers the values that runs have, the most frequent first', () => {
    expect(at('status:|')).toEqual(['running']);
    expect(at('tags has |')).toEqual(['"baseline"', '"two words"']);
    expect(at('tags:|')).toEqual(['baseline', '"two words"']);
    expect(at('params/opt = |')).toEqual(['adam', '"true"']);
    expect(at('group in (fi|')).toEqual(['first']);
    expect(at('created > |')).toContain('-7d');
    expect(at('star:|')).toEqual(['true', 'false']);
    expect(at('name ~ |')).toEqual([]);
  });

  it('[QRY-21] replaces the whole word that the cursor is in', () => {
    expect(taken('par|ams/x < 3')).toBe('params/lr < 3');
    expect(taken('tags has "base|')).toBe('tags has "baseline"');
    expect(taken('status:ru|')).toBe('status:running');
  });
});
