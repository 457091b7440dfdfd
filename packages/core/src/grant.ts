import type { DeviceId, ProjectId } from './ids.ts';

/** What somebody may do, least first; each may do what those before it may. */
export const ROLES = ['viewer', 'contributor', 'member', 'admin'] as const;

/**
 * `viewer`: reads. `contributor`: adds runs and changes its own. `member`: changes anything. `admin`: also lets people in
 * and out.
 */
export type Role = (typeof ROLES)[number];

/** What one token lets its holder do. */
export interface Grant {
  role: Role;
  /** Everything, or only these projects. */
  projects: readonly ProjectId[] | null;
  /** The token's id; null where there are no tokens. */
  token: string | null;
  /** The person or machine that the token was made for. */
  name: string | null;
  /**
   * Devices that have proved themselves with this token, at any time: whose runs are a contributor's own. A live set, which grows
   * while connections last.
   */
  devices: ReadonlySet<DeviceId>;
}

/** Whether `role` may do all that `needed` may. */
export function reaches(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

export function isRole(value: unknown): value is Role {
  return (ROLES as readonly unknown[]).includes(value);
}

/** How the secret of an invitation begins. It is given where a token is asked for, and is turned into one, once. */
export const INVITATION_PREFIX = 'fbi_';

/** The fragment with which a relay leads a browser back to its page that signed in at a provider. No secret: that is in a cookie. */
export const SIGNED_IN = 'signed-in';

/** What a link to a relay carries behind `#`, which is sent nowhere: a token, or an invitation to one. */
export function secretOfFragment(fragment: string): string | null {
  for (const part of fragment.replace(/^#/, '').split('&')) {
    const mark = part.indexOf('=');
    if (mark !== -1 && ['token', 'invite'].includes(part.slice(0, mark))) return part.slice(mark + 1);
  }
  return null;
}

/** A grant of everything that its role may, for those who need no token. */
export function grantOf(role: Role): Grant {
  return { role, projects: null, token: null, name: null, devices: new Set() };
}
