import ts from 'typescript';

/**
 * SPEC.md and the tests, held against each other. A rule is a paragraph or list item that begins with its bold id,
 * as in `- **HLC-1** A device's readings …`. A test names rules in brackets in its title: `it('[HLC-1] never …')`,
 * `describe('[REC-1, REC-2] …')`, or in Python in the docstring of the test function or class.
 *
 * @typedef {{ id: string, line: number }} Rule
 * @typedef {{ ids: string[], where: string, title: string }} Title
 */

const RULE = /^(?:[-*]\s+)?\*\*([A-Z][A-Z0-9]*-\d+)\*\*/;
const NAMED = /\[([A-Z][A-Z0-9]*-\d+(?:\s*,\s*[A-Z][A-Z0-9]*-\d+)*)\]/g;
const TESTS = new Set(['it', 'test', 'describe', 'suite']);
const NOT_RUN = new Set(['skip', 'todo', 'fails']);

/**
 * @param {string} markdown
 * @returns {Rule[]}
 */
export function rulesOf(markdown) {
  return markdown.split('\n').flatMap((text, index) => {
    const id = RULE.exec(text)?.[1];
    return id === undefined ? [] : [{ id, line: index + 1 }];
  });
}

/**
 * The rules that a title names.
 *
 * @param {string} title
 * @returns {string[]}
 */
export function namedIn(title) {
  return [...title.matchAll(NAMED)].flatMap(([, list = '']) => list.split(',').map((id) => id.trim()));
}

/**
 * The titles that name rules, of tests that run: those of `it.skip` and `it.todo` prove nothing.
 *
 * @param {string} path
 * @param {string} source TypeScript or JavaScript
 * @returns {Title[]}
 */
export function titlesOfTypeScript(path, source) {
  if (namedIn(source).length === 0) return [];
  const file = ts.createSourceFile(path, source, ts.ScriptTarget.Latest, true);
  /** @type {Title[]} */
  const titles = [];
  /** @param {ts.Node} node */
  const visit = (node) => {
    if (ts.isCallExpression(node)) {
      const names = calleeNames(node.expression);
      const [first] = node.arguments;
      if (TESTS.has(names[0] ?? '') && first !== undefined) {
        // Nothing inside `describe.skip` runs either.
        if (names.some((name) => NOT_RUN.has(name))) return;
        const title = textOf(first);
        const ids = title === null ? [] : namedIn(title);
        if (title !== null && ids.length > 0) {
          const { line } = file.getLineAndCharacterOfPosition(node.getStart());
          titles.push({ ids, title, where: `${path}:${line + 1}` });
        }
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return titles;
}

/**
 * `it.each(table)` is `['it', 'each']`.
 *
 * @param {ts.Expression} expression
 * @returns {string[]}
 */
function calleeNames(expression) {
  if (ts.isIdentifier(expression)) return [expression.text];
  if (ts.isPropertyAccessExpression(expression)) return [...calleeNames(expression.expression), expression.name.text];
  if (ts.isCallExpression(expression)) return calleeNames(expression.expression);
  if (ts.isTaggedTemplateExpression(expression)) return calleeNames(expression.tag);
  return [];
}

/**
 * @param {ts.Expression} node
 * @returns {string | null}
 */
function textOf(node) {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node)) {
    return node.head.text + node.templateSpans.map((span) => `…${span.literal.text}`).join('');
  }
  if (ts.isBinaryExpression(node)) return `${textOf(node.left) ?? ''}${textOf(node.right) ?? ''}`;
  return null;
}

const PYTHON =
  /^[ \t]*(?:(?:async[ \t]+)?def[ \t]+(test\w*)[ \t]*\([^]*?\)[^:\n]*|class[ \t]+(Test\w*)[^\n]*):[ \t]*\n[ \t]*r?("""|''')([^]*?)\3/gm;

/**
 * @param {string} path
 * @param {string} source
 * @returns {Title[]}
 */
export function titlesOfPython(path, source) {
  return [...source.matchAll(PYTHON)].flatMap((match) => {
    const ids = namedIn(match[4] ?? '');
    const line = source.slice(0, match.index).split('\n').length;
    return ids.length === 0 ? [] : [{ ids, title: match[1] ?? match[2] ?? '', where: `${path}:${line}` }];
  });
}

/**
 * @param {readonly Rule[]} rules
 * @param {readonly Title[]} titles
 * @returns {string[]} what is wrong, a line each
 */
export function disagreements(rules, titles) {
  /** @type {Map<string, number>} */
  const first = new Map();
  /** @type {string[]} */
  const problems = [];
  for (const { id, line } of rules) {
    const before = first.get(id);
    if (before === undefined) first.set(id, line);
    else problems.push(`SPEC.md:${line}: ${id} is already the rule of line ${before}`);
  }
  const tested = new Set(titles.flatMap(({ ids }) => ids));
  for (const [id, line] of first) {
    if (!tested.has(id)) problems.push(`SPEC.md:${line}: no test names ${id}`);
  }
  for (const { ids, where, title } of titles) {
    for (const id of ids) {
      if (!first.has(id)) problems.push(`${where}: "${title}" names ${id}, which is no rule`);
    }
  }
  return problems;
}
