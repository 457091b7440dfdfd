import type { DocumentName } from '../ids.ts';

/**
 * Which documents of others this replica takes. What it makes itself goes to everybody all the same: following is about
 * taking, never about giving.
 */
export interface Follows {
  /** Asked for each document that a peer names; must be quick, and may change its mind when it says so by `onChange`. */
  wants(name: DocumentName): boolean;
  /** Rises with every change that `onChange` tells of, so that who was away knows whether to look again. */
  readonly revision: number;
  /** Called when documents are wanted that were not before: these, or any when it cannot say. Returns the way to stop. */
  onChange(listener: (names?: readonly DocumentName[]) => void): () => void;
}

/** Why a change is not taken that nobody here follows; whoever hears it sends only names of that document from then on. */
export const NOT_FOLLOWED = 'not_followed';
