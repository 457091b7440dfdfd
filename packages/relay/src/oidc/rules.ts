import type { ProjectId } from '@fieldbook/core';
import { projectIdOf } from '@fieldbook/core';
import type { Role } from '@fieldbook/core/access';
import { isRole, ROLES } from '@fieldbook/core/access';
import type { Kind } from '../config/kinds.ts';

/** Whom a rule is for. */
export interface SignInRule {
  by: 'email' | 'emailDomain' | 'group';
  /** Addresses and domains in lower case. */
  is: string;
  role: Role;
  /** Everything, or only these. */
  projects: readonly ProjectId[] | null;
}

/** What a provider says of somebody, as far as rules ask. */
export interface Identity {
  issuer: string;
  subject: string;
  /** Only one that the provider has verified. */
  email: string | null;
  name: string | null;
  groups: readonly string[];
}

const WHOM = ['email', 'emailDomain', 'group'] as const;
const MOST = 1_000;

/** The first rule that fits, which decides alone; undefined when none does. */
export function ruleFor(rules: readonly SignInRule[], { email, groups }: Identity): SignInRule | undefined {
  const address = email?.toLowerCase();
  const domain = address?.slice(address.lastIndexOf('@') + 1);
  return rules.find(({ by, is }) =>
    by === 'email' ? is === address : by === 'emailDomain' ? is === domain : groups.includes(is),
  );
}

/** The setting: a list of `{email | emailDomain | group, role, projects?}`; in the environment as JSON. */
export const signInRules = (): Kind<readonly SignInRule[]> => ({
  about: 'a list of rules like {"emailDomain": "example.org", "role": "member", "projects": ["vision"]}',
  fromText: (given) => {
    try {
      return JSON.parse(given) as unknown;
    } catch {
      return given;
    }
  },
  parse: (value) => {
    if (!Array.isArray(value)) throw new Error('it must be a list of rules');
    if (value.length > MOST) throw new Error(`it has ${value.length} rules; ${MOST} are the most`);
    return value.map((one, index) => {
      try {
        return parseRule(one);
      } catch (error) {
        throw new Error(`rule ${index + 1}: ${(error as Error).message}`, { cause: error });
      }
    });
  },
});

function parseRule(value: unknown): SignInRule {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it must be an object');
  const rule = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(rule).find((key) => ![...WHOM, 'role', 'projects'].includes(key));
  if (unknown !== undefined) throw new Error(`there is no ${JSON.stringify(unknown.slice(0, 40))} in a rule`);
  const given = WHOM.filter((key) => Object.hasOwn(rule, key));
  const [by] = given;
  if (by === undefined || given.length > 1) throw new Error(`it must have one of ${WHOM.join(', ')}`);
  const whom = rule[by];
  if (typeof whom !== 'string' || whom === '' || whom.length > 512) throw new Error(`${by} must be a text`);
  if (by === 'email' && !/^[^\s@]+@[^\s@]+$/.test(whom)) throw new Error('email must be an address');
  if (by === 'emailDomain' && /[\s@]/.test(whom)) throw new Error('emailDomain must be what stands behind the @');
  const { role, projects = null } = rule;
  if (!isRole(role)) throw new Error(`role must be ${ROLES.join(' or ')}`);
  return { by, is: by === 'group' ? whom : whom.toLowerCase(), role, projects: parseProjects(projects) };
}

function parseProjects(value: unknown): readonly ProjectId[] | null {
  if (value === null) return null;
  // An empty list is more likely a mistake than a wish for somebody who sees nothing.
  if (!Array.isArray(value) || value.length === 0) throw new Error('projects must be a list of names, or null for all');
  return [
    ...new Set(
      value.map((each) => {
        if (typeof each !== 'string') throw new Error('projects must be a list of names, or null for all');
        return projectIdOf(each);
      }),
    ),
  ];
}
