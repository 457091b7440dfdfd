import { LIMITS } from '../limits.ts';
import type { CompareOperator, JoinNode, Literal, Node, Path, Span } from './ast.ts';
import { queryError } from './fault.ts';
import { fieldOf, kindOfField } from './fields.ts';
import type { Frontier, Token, TokenKind } from './parse.ts';
import { PatternFault } from './pattern-syntax.ts';
import { Pattern } from './pattern.ts';

const SPACE = /\s/;
/** Ends a bare word where a path or a free word may stand. */
const AFTER_PATH = /[\s()"<>=:~]|![=~]/g;
/** Ends a bare value; in a list also a comma. */
const AFTER_VALUE = /[\s()"]/g;
const AFTER_ELEMENT = /[\s()",]/g;
const COMPARE: readonly CompareOperator[] = ['<=', '>=', '!=', '<', '>', '='];
const TERM = ['a word', 'a test such as params/lr < 0.01', '"("', 'not'];
const TEST = ['<', '<=', '>', '>=', '=', '!=', ':', '~', '!~', 'has', 'in', 'exists', 'missing'];
const VALUE = ['a number', 'a word', 'a "text"', 'a time such as -7d'];

/** One pass over a query's text, by recursive descent. Throws `query_syntax` where it breaks; `tokens` are those read so far. */
export class Parser {
  readonly tokens: Token[] = [];
  frontier: Frontier | null = null;
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  query(): Node | null {
    this.#space();
    if (this.#ended) {
      this.frontier = { at: 'term' };
      return null;
    }
    const root = this.#or();
    if (!this.#ended) this.#fail(this.#here(), `There is a ")" that closes nothing.`, ['and', 'or', 'the end']);
    return root;
  }

  /** All tokens after an error: what was read, and the rest word by word. */
  rest(): Token[] {
    const rest = /\S+/g;
    rest.lastIndex = this.tokens.at(-1)?.end ?? 0;
    for (let match = rest.exec(this.#text); match !== null; match = rest.exec(this.#text)) {
      this.#token('error', match.index, rest.lastIndex);
    }
    return this.tokens;
  }

  #or(): Node {
    const terms = [this.#and()];
    while (this.#keyword('or')) terms.push(this.#and());
    return join('or', terms);
  }

  #and(): Node {
    const terms = [this.#unary()];
    for (;;) {
      this.#space();
      if (this.#ended) {
        this.frontier ??= { at: 'operator', path: null };
        break;
      }
      if (this.#text[this.#at] === ')' || this.#peek() === 'or') break;
      this.#keyword('and');
      terms.push(this.#unary());
    }
    return join('and', terms);
  }

  #unary(): Node {
    this.#space();
    const start = this.#at;
    if (this.#text[start] === '(') return this.#group();
    if (this.#peek() === 'not') {
      this.#keyword('not');
      this.#enter(start);
      const term = this.#unary();
      this.#depth -= 1;
      return { kind: 'not', term, start, end: term.end };
    }
    return this.#term();
  }

  #group(): Node {
    const start = this.#at;
    this.#enter(start);
    this.#mark('bracket', 1);
    const node = this.#or();
    this.#space();
    if (this.#text[this.#at] !== ')') this.#fail({ start, end: start + 1 }, 'This "(" is never closed.', ['")"']);
    this.#mark('bracket', 1);
    this.#depth -= 1;
    return { ...node, start, end: this.#at };
  }

  #term(): Node {
    if (this.#ended) {
      this.frontier = { at: 'term' };
      this.#fail(this.#here(), 'The query ends where a term should stand.', TERM);
    }
    const path = this.#path();
    const test = this.#test(path);
    if (test !== undefined) return test;
    const { start, end, text, quoted, scope } = path;
    if (scope !== 'any') {
      this.#fail(this.#here(), `Say what ${this.#text.slice(start, end)} should be.`, TEST);
    }
    const field = fieldOf(path);
    if (field !== undefined && kindOfField(field) === 'flag') return { kind: 'flag', path, start, end };
    const token = this.tokens.at(-1)!;
    token.kind = quoted ? 'string' : 'word';
    return { kind: 'word', text, quoted, start, end };
  }

  /** A path, or what turns out to be a free word. */
  #path(): Path {
    const start = this.#at;
    if (this.#text[start] === '"') {
      const text = this.#string('path');
      return { text: text + this.#suffix(), quoted: true, scope: 'any', start, end: this.#at };
    }
    const word = this.#bare(AFTER_PATH);
    const lower = word.toLowerCase();
    if (word === '') {
      const char = String.fromCodePoint(this.#text.codePointAt(start)!);
      this.#fail({ start, end: start + char.length }, `A term cannot begin with "${char}".`, TERM);
    }
    if (lower === 'and' || lower === 'or') {
      this.#at = start;
      this.#fail({ start, end: start + word.length }, `There is nothing before "${word}".`, TERM);
    }
    const scope = word === 'a' ? 'attribute' : word === 'm' ? 'metric' : 'any';
    const next = this.#text[this.#at + 1];
    if (scope !== 'any' && this.#text[this.#at] === ':' && next !== undefined && !SPACE.test(next)) {
      this.#at += 1;
      let text: string;
      if (next === '"') text = this.#string('path', start) + this.#suffix();
      else {
        text = this.#bare(AFTER_PATH);
        if (text === '') this.#fail(this.#here(1), `Expected a path after "${word}:".`, ['a path']);
        this.#token('path', start, this.#at);
      }
      return { text, quoted: next === '"', scope, start, end: this.#at };
    }
    this.#token('path', start, this.#at);
    return { text: word, quoted: false, scope: 'any', start, end: this.#at };
  }

  /** The aggregate behind a quoted path: `"weird path".min`. */
  #suffix(): string {
    if (this.#text[this.#at] !== '.') return '';
    const suffix = this.#bare(AFTER_PATH);
    this.tokens.at(-1)!.end = this.#at;
    return suffix;
  }

  /** What is asked of a path; undefined when nothing is, so that it is a word. */
  #test(path: Path): Node | undefined {
    const { start } = path;
    if (this.#text[this.#at] === ':') {
      this.#mark('operator', 1);
      return this.#compare(path, ':');
    }
    const behind = this.#at;
    this.#space();
    if (this.#ended) {
      this.frontier = { at: 'operator', path };
      return undefined;
    }
    const symbol = COMPARE.find((each) => this.#text.startsWith(each, this.#at));
    if (symbol !== undefined) {
      this.#mark('operator', this.#text.startsWith('==', this.#at) ? 2 : symbol.length);
      return this.#compare(path, symbol);
    }
    const negated = this.#text.startsWith('!~', this.#at);
    if (negated || this.#text[this.#at] === '~') {
      this.#mark('operator', negated ? 2 : 1);
      return this.#match(path, negated);
    }
    const peeked = this.#peek();
    // `it has:x` is a word and a test of `has`.
    const word = this.#text[this.#at + peeked.length] === ':' ? '' : peeked;
    if (word === 'has') {
      this.#keyword('has');
      return this.#compare(path, 'has');
    }
    if (word === 'exists' || word === 'missing') {
      this.#keyword(word);
      return { kind: 'presence', path, present: word === 'exists', start, end: this.#at };
    }
    const list = /^(not\s+)?in\s*(?=\()/i.exec(this.#text.slice(this.#at, this.#at + 64));
    if (list !== null) {
      this.#mark('keyword', list[0].trimEnd().length);
      return this.#in(path, list[1] !== undefined);
    }
    this.#at = behind;
    return undefined;
  }

  #compare(path: Path, op: CompareOperator): Node {
    const value = this.#value(path, op, AFTER_VALUE);
    return { kind: 'compare', path, op, value, start: path.start, end: value.end };
  }

  #value(path: Path, op: CompareOperator | 'in', ends: RegExp): Literal {
    const operator = this.tokens.at(-1)!;
    this.#space();
    const start = this.#at;
    if (this.#ended) {
      this.frontier = { at: 'value', path, op };
      this.#fail(this.#here(), `Expected a value after "${this.#text.slice(operator.start, operator.end)}".`, VALUE);
    }
    if (this.#text[start] === '"') {
      const text = this.#string('string');
      return { text, quoted: true, start, end: this.#at };
    }
    const text = '<>=~!'.includes(this.#text[start]!) ? '' : this.#bare(ends);
    if (text === '') {
      const char = String.fromCodePoint(this.#text.codePointAt(start)!);
      this.#fail({ start, end: start + char.length }, `Expected a value, found "${char}".`, VALUE);
    }
    this.#token('value', start, this.#at);
    return { text, quoted: false, start, end: this.#at };
  }

  #in(path: Path, negated: boolean): Node {
    this.#space();
    const open = this.#at;
    this.#mark('bracket', 1);
    const values: Literal[] = [];
    for (;;) {
      values.push(this.#value(path, 'in', AFTER_ELEMENT));
      this.#space();
      const char = this.#text[this.#at];
      if (char === ')') break;
      if (char !== ',') {
        if (this.#ended) this.frontier = { at: 'list' };
        this.#fail(this.#ended ? { start: open, end: open + 1 } : this.#here(1), 'Expected "," or ")" in the list.', [
          '","',
          '")"',
        ]);
      }
      this.#mark('bracket', 1);
    }
    this.#mark('bracket', 1);
    return { kind: 'in', path, negated, values, start: path.start, end: this.#at };
  }

  #match(path: Path, negated: boolean): Node {
    this.#space();
    const start = this.#at;
    const expected = ['a pattern such as /res.*/'];
    if (this.#ended) {
      this.frontier = { at: 'pattern' };
      this.#fail(this.#here(), 'Expected a pattern after "~".', expected);
    }
    let pattern = '';
    let ignoreCase = false;
    // Where each character of the pattern stands in the query, for faults inside it.
    const places: number[] = [];
    if (this.#text[start] === '"') {
      // A slash needs no backslash in either form; without it both forms are one pattern.
      pattern = this.#string('pattern').replace(/\\(.)/gs, (pair, char: string) => (char === '/' ? '/' : pair));
      for (let index = 0; index < pattern.length; index++) places.push(Math.min(start + 1 + index, this.#at - 1));
    } else if (this.#text[start] === '/') {
      let index = start + 1;
      while (index < this.#text.length && this.#text[index] !== '/') {
        const escaped = this.#text[index] === '\\' && index + 1 < this.#text.length;
        const piece = !escaped
          ? this.#text[index]!
          : this.#text[index + 1] === '/'
            ? '/'
            : this.#text.slice(index, index + 2);
        for (let part = 0; part < piece.length; part++) places.push(index + part);
        pattern += piece;
        index += escaped ? 2 : 1;
      }
      if (index >= this.#text.length)
        this.#fail({ start, end: start + 1 }, 'This pattern has no "/" at its end.', ['"/"']);
      index += 1;
      ignoreCase = this.#text[index] === 'i';
      this.#at = ignoreCase ? index + 1 : index;
      this.#token('pattern', start, this.#at);
    } else {
      this.#fail(this.#here(1), 'A pattern stands between two "/".', expected);
    }
    if (pattern === '') this.#fail({ start, end: this.#at }, 'This pattern is empty.', expected);
    try {
      void new Pattern(pattern, ignoreCase);
    } catch (error) {
      if (!(error instanceof PatternFault)) throw error;
      const position = places[error.position] ?? this.#at - 1;
      this.#fail({ start: position, end: position + 1 }, `${error.message}.`, []);
    }
    return { kind: 'match', path, negated, pattern, ignoreCase, start: path.start, end: this.#at };
  }

  /** A quoted text; `\"` and `\\` stand for `"` and `\`, and no other backslash means anything. */
  #string(kind: TokenKind, tokenStart = this.#at): string {
    const start = this.#at;
    let text = '';
    let index = start + 1;
    while (index < this.#text.length && this.#text[index] !== '"') {
      const next = this.#text[index + 1];
      if (this.#text[index] === '\\' && (next === '"' || next === '\\')) index += 1;
      text += this.#text[index];
      index += 1;
    }
    if (index >= this.#text.length)
      this.#fail({ start, end: start + 1 }, "This text has no '\"' at its end.", ["'\"'"]);
    this.#at = index + 1;
    this.#token(kind, tokenStart, this.#at);
    return text;
  }

  get #ended(): boolean {
    return this.#at >= this.#text.length;
  }

  #space(): void {
    while (this.#at < this.#text.length && SPACE.test(this.#text[this.#at]!)) this.#at += 1;
  }

  #bare(ends: RegExp): string {
    ends.lastIndex = this.#at;
    const start = this.#at;
    this.#at = ends.exec(this.#text)?.index ?? this.#text.length;
    return this.#text.slice(start, this.#at);
  }

  /** The bare word that stands here, in lower case. */
  #peek(): string {
    const start = this.#at;
    const word = this.#bare(AFTER_PATH).toLowerCase();
    this.#at = start;
    return word;
  }

  #keyword(word: string): boolean {
    this.#space();
    if (this.#peek() !== word) return false;
    this.#mark('keyword', word.length);
    return true;
  }

  #mark(kind: TokenKind, length: number): void {
    this.#token(kind, this.#at, this.#at + length);
    this.#at += length;
  }

  #token(kind: TokenKind, start: number, end: number): void {
    this.tokens.push({ kind, start, end });
    this.frontier = null;
  }

  #enter(start: number): void {
    this.#depth += 1;
    if (this.#depth > LIMITS.queryDepth) {
      this.#fail({ start, end: start + 1 }, `A query is at most ${LIMITS.queryDepth} levels deep.`, []);
    }
  }

  #here(length = 0): Span {
    return { start: this.#at, end: Math.min(this.#at + length, this.#text.length) };
  }

  #fail(span: Span, message: string, expected: readonly string[]): never {
    throw queryError('query_syntax', message, span, expected);
  }
}

/** Terms as one node: a single one as it is, joins of the same kind opened up. */
function join(kind: 'and' | 'or', terms: readonly Node[]): Node {
  if (terms.length === 1) return terms[0]!;
  const flat = terms.flatMap((term) => (term.kind === kind ? term.terms : [term]));
  return { kind, terms: flat, start: terms[0]!.start, end: terms.at(-1)!.end } satisfies JoinNode;
}
