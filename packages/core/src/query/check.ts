import { RUN_STATUSES } from '../record/index.ts';
import type { CompareOperator, Literal, Node, Path } from './ast.ts';
import { queryError } from './fault.ts';
import type { FieldKind } from './fields.ts';
import { fieldOf, kindOfField } from './fields.ts';
import { booleanOf, durationOf, isNull, numberOf, periodOf } from './literal.ts';

const ORDERING: readonly string[] = ['<', '<=', '>', '>='];

/**
 * Refuses with `query_type` what a field can never answer: `status:done`, `created > soon`, `star > 3`. Attributes and
 * metrics are not checked, since what they hold differs from project to project and a link must mean the same in each.
 */
export function checkTypes(node: Node): void {
  switch (node.kind) {
    case 'and':
    case 'or':
      node.terms.forEach(checkTypes);
      return;
    case 'not':
      checkTypes(node.term);
      return;
    case 'compare':
      checkTest(node.path, node.op, [node.value]);
      return;
    case 'in':
      checkTest(node.path, 'in', node.values);
      return;
    case 'match': {
      const field = fieldOf(node.path);
      const kind = field === undefined ? 'text' : kindOfField(field);
      if (kind !== 'text' && kind !== 'status' && kind !== 'list') {
        throw queryError(
          'query_type',
          `${node.path.text} is not a text, so no pattern fits it.`,
          node.path,
          operatorsOf(kind),
        );
      }
      return;
    }
    case 'presence':
    case 'flag':
    case 'word':
      return;
  }
}

function checkTest(path: Path, op: CompareOperator | 'in', values: readonly Literal[]): void {
  const field = fieldOf(path);
  if (field === undefined) return;
  const kind = kindOfField(field);
  const operators = operatorsOf(kind);
  if (!operators.includes(op)) {
    throw queryError('query_type', `${path.text} cannot be tested with "${op}".`, path, operators);
  }
  for (const value of values) {
    if (isNull(value)) continue;
    const problem = problemOf(kind, value, op);
    if (problem !== undefined)
      throw queryError('query_type', `${path.text} ${problem.message}`, value, problem.expected);
  }
}

function operatorsOf(kind: FieldKind): readonly string[] {
  switch (kind) {
    case 'text':
      return ['=', '!=', ':', 'has', 'in', '~', '!~', ...ORDERING, 'exists', 'missing'];
    case 'status':
      return ['=', '!=', ':', 'in', '~', '!~'];
    case 'list':
      return ['=', '!=', ':', 'has', 'in', '~', '!~', 'exists', 'missing'];
    case 'flag':
      return ['=', '!=', ':'];
    case 'time':
    case 'duration':
    case 'number':
      return ['=', '!=', ':', 'in', ...ORDERING, 'exists', 'missing'];
  }
}

function problemOf(
  kind: FieldKind,
  value: Literal,
  op: string,
): { message: string; expected: readonly string[] } | undefined {
  switch (kind) {
    case 'status':
      if ((RUN_STATUSES as readonly string[]).includes(op === ':' ? value.text.toLowerCase() : value.text))
        return undefined;
      return { message: `is never "${value.text}".`, expected: RUN_STATUSES };
    case 'flag':
      if (booleanOf(value) !== undefined) return undefined;
      return { message: 'is true or false.', expected: ['true', 'false'] };
    case 'time':
      if (periodOf(value, { now: 0 }) !== undefined) return undefined;
      return {
        message: 'is a time: write -7d, today, 2026-11-01 or 2026-11-01T12:30.',
        expected: ['-7d', 'today', '2026-11-01'],
      };
    case 'duration':
      if (durationOf(value) !== undefined || numberOf(value) !== undefined) return undefined;
      return { message: 'is a duration: write 90s, 15m or 1h30m.', expected: ['90s', '15m', '1h30m'] };
    case 'number':
      if (numberOf(value) !== undefined) return undefined;
      return { message: 'is a number.', expected: ['a number'] };
    case 'text':
    case 'list':
      return undefined;
  }
}
