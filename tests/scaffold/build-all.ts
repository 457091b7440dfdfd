import { buildForTests } from './built.ts';

/** Vitest runs this once before the end-to-end suite: the programs, and the UI that they serve. */
export default function setup(): void {
  buildForTests(['core', 'node-agent', 'relay', 'web']);
}
