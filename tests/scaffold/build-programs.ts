import { buildForTests } from './built.ts';

/** Vitest runs this once before the integration suite: tests that start programs start today's. */
export default function setup(): void {
  buildForTests(['core', 'node-agent', 'relay']);
}
