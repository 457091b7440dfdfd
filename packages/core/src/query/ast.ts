/** Places are offsets in UTF-16 code units of the query's text; `end` is behind the last one. */
export interface Span {
  start: number;
  end: number;
}

/** What stands left of a test: a field of every run, an attribute, or a metric with its aggregate. */
export interface Path extends Span {
  /** Without quotes and without the `a:` or `m:`. */
  text: string;
  /** A quoted path is never a field: `"status"` is the attribute of that name. */
  quoted: boolean;
  /** `a:` and `m:` say which of the two is meant; `any` is resolved by what the table holds. */
  scope: 'any' | 'attribute' | 'metric';
}

/** A value as it was typed. Unquoted it is read as whatever the column holds; quoted it is text and nothing else. */
export interface Literal extends Span {
  text: string;
  quoted: boolean;
}

export type CompareOperator = '=' | '!=' | '<' | '<=' | '>' | '>=' | ':' | 'has';

export type Node = JoinNode | NotNode | CompareNode | MatchNode | InNode | PresenceNode | FlagNode | WordNode;

/** Two terms or more, none of them a join of the same kind. */
export interface JoinNode extends Span {
  kind: 'and' | 'or';
  terms: readonly Node[];
}

export interface NotNode extends Span {
  kind: 'not';
  term: Node;
}

export interface CompareNode extends Span {
  kind: 'compare';
  path: Path;
  op: CompareOperator;
  value: Literal;
}

export interface MatchNode extends Span {
  kind: 'match';
  path: Path;
  negated: boolean;
  /** Source of the regular expression, with no slashes around it and none escaped in it. */
  pattern: string;
  ignoreCase: boolean;
}

export interface InNode extends Span {
  kind: 'in';
  path: Path;
  negated: boolean;
  values: readonly Literal[];
}

export interface PresenceNode extends Span {
  kind: 'presence';
  path: Path;
  present: boolean;
}

/** A field that is true or false, standing alone: `starred`. */
export interface FlagNode extends Span {
  kind: 'flag';
  path: Path;
}

/** Found in the name, a tag or the notes, whatever its case. */
export interface WordNode extends Span {
  kind: 'word';
  text: string;
  quoted: boolean;
}

/** A query that was read. `root` is null for one that says nothing and so matches every run. */
export interface Query {
  text: string;
  root: Node | null;
}

/** The terms that a query joins by `and` at the top: what the UI shows as chips. */
export function topTerms(query: Query): readonly Node[] {
  if (query.root === null) return [];
  return query.root.kind === 'and' ? query.root.terms : [query.root];
}

/** All paths that a query tests, in the order of the text. */
export function pathsOf(query: Query): Path[] {
  const paths: Path[] = [];
  const visit = (node: Node): void => {
    if ('terms' in node) node.terms.forEach(visit);
    else if (node.kind === 'not') visit(node.term);
    else if (node.kind !== 'word') paths.push(node.path);
  };
  if (query.root !== null) visit(query.root);
  return paths;
}
