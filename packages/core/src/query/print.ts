import type { CompareNode, Literal, Node, Path, Query, WordNode } from './ast.ts';
import { fieldNamed, kindOfField } from './fields.ts';

const SIGNS = /[\s()"<>=:~]|![=~]|^$/;
const TEST_WORDS = new Set(['has', 'in', 'exists', 'missing', 'not']);

/**
 * The canonical text of a query or of one of its terms: reading it again gives the same terms. Used for chips, links
 * and saved views.
 */
export function printQuery(query: Query | Node): string {
  const root = 'root' in query ? query.root : query;
  return root === null ? '' : print(root);
}

function print(node: Node): string {
  switch (node.kind) {
    case 'and':
      return printAnd(node.terms);
    case 'or':
      return node.terms.map((term) => print(term)).join(' or ');
    case 'not':
      return `not ${node.term.kind === 'and' || node.term.kind === 'or' ? `(${print(node.term)})` : print(node.term)}`;
    case 'compare':
      return `${printPath(node.path)}${printOperator(node)}${printValue(node.value, false)}`;
    case 'match':
      return `${printPath(node.path)} ${node.negated ? '!~' : '~'} ${printPattern(node.pattern, node.ignoreCase)}`;
    case 'in': {
      const values = node.values.map((value) => printValue(value, true)).join(', ');
      return `${printPath(node.path)} ${node.negated ? 'not in' : 'in'} (${values})`;
    }
    case 'presence':
      return `${printPath(node.path)} ${node.present ? 'exists' : 'missing'}`;
    case 'flag':
      return node.path.text;
    case 'word':
      return printWord(node);
  }
}

function printOperator({ op, path }: CompareNode): string {
  if (op !== ':') return ` ${op} `;
  // `a:x` would be the attribute x: what keeps the attribute `a` apart is the space.
  return path.scope === 'any' && !path.quoted && (path.text === 'a' || path.text === 'm') ? ': ' : ':';
}

/** Free words stand side by side as people type them; everything else is joined by a visible `and`. */
function printAnd(terms: readonly Node[]): string {
  let text = '';
  terms.forEach((term, index) => {
    const before = terms[index - 1];
    const words = before?.kind === 'word' && term.kind === 'word' && !TEST_WORDS.has(term.text.toLowerCase());
    const between = before === undefined ? '' : words ? ' ' : ' and ';
    text += between + (term.kind === 'or' ? `(${print(term)})` : print(term));
  });
  return text;
}

/** A path as it is written in a query, quoted where it has to be. */
export function printPath({ text, quoted, scope }: Pick<Path, 'text' | 'quoted' | 'scope'>): string {
  const prefix = scope === 'attribute' ? 'a:' : scope === 'metric' ? 'm:' : '';
  const bare = !quoted && !SIGNS.test(text) && (scope !== 'any' || !/^(?:and|or|not)$/i.test(text));
  return prefix + (bare ? text : quote(text));
}

function printValue({ text, quoted }: Literal, inList: boolean): string {
  const bare = !quoted && text !== '' && !/[\s()"]|^[<>=~!]/.test(text) && !(inList && text.includes(','));
  return bare ? text : quote(text);
}

function printWord({ text, quoted }: WordNode): string {
  const field = fieldNamed(text);
  const flag = field !== undefined && kindOfField(field) === 'flag';
  const bare = !quoted && !flag && !SIGNS.test(text) && !/^(?:and|or|not)$/i.test(text);
  return bare ? text : quote(text);
}

function printPattern(pattern: string, ignoreCase: boolean): string {
  return `/${pattern.replaceAll('/', '\\/')}/${ignoreCase ? 'i' : ''}`;
}

/** Between quotation marks; `"` and `\` get a backslash. */
export function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
