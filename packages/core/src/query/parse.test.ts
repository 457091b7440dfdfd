import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Node } from './ast.ts';
import { topTerms } from './ast.ts';
import { parseQuery, tokens } from './parse.ts';
import { printQuery } from './print.ts';

/** The query's structure as a short text, without places. */
function shape(text: string): string {
  const show = (node: Node): string => {
    switch (node.kind) {
      case 'and':
      case 'or':
        return `(${node.terms.map(show).join(` ${node.kind} `)})`;
      case 'not':
        return `!${show(node.term)}`;
      case 'compare':
        return `[${node.path.text} ${node.op} ${node.value.quoted ? `"${node.value.text}"` : node.value.text}]`;
      case 'match':
        return `[${node.path.text} ${node.negated ? '!~' : '~'} ${node.pattern}${node.ignoreCase ? ' i' : ''}]`;
      case 'in':
        return `[${node.path.text} ${node.negated ? 'not in' : 'in'} ${node.values.map((value) => value.text).join('|')}]`;
      case 'presence':
        return `[${node.path.text} ${node.present ? 'exists' : 'missing'}]`;
      case 'flag':
        return `[${node.path.text}]`;
      case 'word':
        return node.quoted ? `"${node.text}"` : node.text;
    }
  };
  const { root } = parseQuery(text);
  return root === null ? '' : show(root);
}

/** Code and place of the error of a text, with what is marked in it. */
function fault(text: string): {
  code: string;
  at: number;
  marked: string;
  message: string;
  expected: readonly string[];
} {
  try {
    parseQuery(text);
  } catch (error) {
    if (!isFieldbookError(error)) throw error;
    const { position, length, expected } = error.details as { position: number; length: number; expected: string[] };
    return {
      code: error.code,
      at: position,
      marked: text.slice(position, position + length),
      message: error.message,
      expected,
    };
  }
  throw new Error(`"${text}" was read`);
}

describe('reading a query', () => {
  it('[QRY-1] reads every form of the grammar', () => {
    const forms: Record<string, string> = {
      '': '',
      '   ': '',
      'status:running and params/lr < 0.01 and tags has "baseline" and val/loss.min < 0.2 and name ~ /res.*/':
        '([status : running] and [params/lr < 0.01] and [tags has "baseline"] and [val/loss.min < 0.2] and [name ~ res.*])',
      'not (group in ("a","b"))': '![group in a|b]',
      'params/lr missing or params/lr exists': '([params/lr missing] or [params/lr exists])',
      '"weird path/with space" > 3': '[weird path/with space > 3]',
      '"weird path".min > 3': '[weird path.min > 3]',
      'a:status = x m:"a b".max >= -1e-3': '([status = x] and [a b.max >= -1e-3])',
      'created > -7d created > 2026-11-01T12:30:00Z': '([created > -7d] and [created > 2026-11-01T12:30:00Z])',
      'duration>1h': '[duration > 1h]',
      'starred star:true archived = false': '([starred] and [star : true] and [archived = false])',
      'resnet "two words" large': '(resnet and "two words" and large)',
      'a or b and c or d': '(a or (b and c) or d)',
      '(a or b) c': '((a or b) and c)',
      'not a b': '(!a and b)',
      'NOT (a OR b)': '!(a or b)',
      'a and (b and (c and d))': '(a and b and c and d)',
      'x not in (1, 2,"3,4")': '[x not in 1|2|3,4]',
      'name !~ /a\\/b|[\\/]/i': '[name !~ a/b|[/] i]',
      'name ~ "a/b"': '[name ~ a/b]',
      'host:gpu-1:8080': '[host : gpu-1:8080]',
      'trained in berlin': '(trained and in and berlin)',
      'x == 3': '[x = 3]',
      'x != y': '[x != y]',
      'x = "say \\"hi\\" \\\\ C:\\dir"': '[x = "say "hi" \\ C:\\dir"]',
      "don't": "don't",
      größe: 'größe',
    };
    for (const [text, expected] of Object.entries(forms)) expect(shape(text), text).toBe(expected);
  });

  it('[QRY-2] says where a query breaks and what could stand there', () => {
    expect(fault('params/lr <')).toMatchObject({
      code: 'query_syntax',
      at: 11,
      marked: '',
      message: 'Expected a value after "<".',
    });
    expect(fault('params/lr < ').expected).toContain('a number');
    expect(fault('a and')).toMatchObject({ at: 5, expected: expect.arrayContaining(['a word', 'not']) });
    expect(fault('a and or b')).toMatchObject({ at: 6, marked: 'or' });
    expect(fault('and b')).toMatchObject({ at: 0, marked: 'and' });
    expect(fault('(a or (b)')).toMatchObject({ at: 0, marked: '(', expected: ['")"'] });
    expect(fault('a)')).toMatchObject({ at: 1 });
    expect(fault('()')).toMatchObject({ at: 1, marked: ')' });
    expect(fault('x = "open')).toMatchObject({ at: 4, marked: '"' });
    expect(fault('name ~ /open')).toMatchObject({ at: 7, marked: '/' });
    expect(fault('name ~ open')).toMatchObject({ at: 7 });
    expect(fault('name ~ /a(b/')).toMatchObject({ at: 9, marked: '(' });
    expect(fault('name ~ /\\/(?=b)/')).toMatchObject({ at: 10, marked: '(' });
    expect(fault('group in ("a" "b")')).toMatchObject({ at: 14, expected: ['","', '")"'] });
    expect(fault('a:params/lr')).toMatchObject({ at: 11, expected: expect.arrayContaining(['exists']) });
    expect(fault('x = =3')).toMatchObject({ at: 4, marked: '=' });
    expect(fault('😀 = =')).toMatchObject({ at: 5 });
  });

  it('[QRY-3] refuses tests that a field can never answer', () => {
    expect(fault('x status:done')).toMatchObject({
      code: 'query_type',
      at: 9,
      marked: 'done',
      expected: expect.arrayContaining(['finished']),
    });
    expect(fault('created > soon')).toMatchObject({ code: 'query_type', at: 10, marked: 'soon' });
    expect(fault('created > 7d')).toMatchObject({ code: 'query_type', marked: '7d' });
    expect(fault('created > 2026-02-30')).toMatchObject({ code: 'query_type' });
    expect(fault('duration > long')).toMatchObject({ code: 'query_type', marked: 'long' });
    expect(fault('star > 3')).toMatchObject({ code: 'query_type', at: 0, marked: 'star' });
    expect(fault('created ~ /x/')).toMatchObject({ code: 'query_type', at: 0 });
    expect(fault('tags < b')).toMatchObject({ code: 'query_type' });
    // What data holds differs from project to project: a link means the same in each.
    expect(shape('params/lr < high "status":done')).toBe('([params/lr < high] and [status : done])');
  });

  it('[QRY-4] bounds what it reads', () => {
    expect(fault('x'.repeat(LIMITS.queryLength + 1))).toMatchObject({ code: 'query_syntax', at: LIMITS.queryLength });
    expect(fault(`${'('.repeat(LIMITS.queryDepth + 1)}a`)).toMatchObject({
      code: 'query_syntax',
      at: LIMITS.queryDepth,
    });
    expect(fault('not '.repeat(4_000 / 4))).toMatchObject({ code: 'query_syntax', at: LIMITS.queryDepth * 4 });
    expect(shape(`${'('.repeat(LIMITS.queryDepth)}a${')'.repeat(LIMITS.queryDepth)}`)).toBe('a');
    expect(fault(`name ~ /${'a'.repeat(LIMITS.patternLength + 1)}/`).message).toContain('at most');
    expect(fault('name ~ /(((a{99}){99}){99}){99}/').message).toContain('repeats too much');
    expect(fault('name ~ /((((){999}){999}){999}){999}/').message).toContain('repeats too much');
  });

  it('[QRY-5] prints what reads back to the same query', () => {
    const canonical: Record<string, string> = {
      'status:running params/lr<0.01': 'status:running and params/lr < 0.01',
      'resnet large tags has x': 'resnet large and tags has x',
      '(a or b) and not (c d)': '(a or b) and not (c d)',
      'a or (b c)': 'a or b c',
      'x NOT IN(1,"2")': 'x not in (1, "2")',
      '"a b".min==3': '"a b.min" = 3',
      'name ~ "a/b"': 'name ~ /a\\/b/',
      '(x) missing': 'x and missing',
      '"and" "starred" starred': '"and" "starred" and starred',
    };
    for (const [text, expected] of Object.entries(canonical)) {
      expect(printQuery(parseQuery(text)), text).toBe(expected);
      expect(printQuery(parseQuery(expected)), expected).toBe(expected);
    }
  });

  it('gives the places of terms for chips', () => {
    const text = 'status:running and (a or b) x';
    expect(topTerms(parseQuery(text)).map(({ start, end }) => text.slice(start, end))).toEqual([
      'status:running',
      '(a or b)',
      'x',
    ]);
  });

  it('gives tokens for highlighting, also of what cannot be read', () => {
    const show = (text: string): string[] =>
      tokens(text).map(({ kind, start, end }) => `${kind} ${text.slice(start, end)}`);
    expect(show('params/lr < 0.01 and (foo or name ~ /x/i)')).toEqual([
      'path params/lr',
      'operator <',
      'value 0.01',
      'keyword and',
      'bracket (',
      'word foo',
      'keyword or',
      'path name',
      'operator ~',
      'pattern /x/i',
      'bracket )',
    ]);
    expect(show('x = "a" and ) b')).toEqual([
      'path x',
      'operator =',
      'string "a"',
      'keyword and',
      'error )',
      'error b',
    ]);
  });
});
