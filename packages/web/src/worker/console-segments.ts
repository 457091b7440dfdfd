/** The part of the worker that reads consoles, in a file of its own so that a page without them never loads it. */
export { ConsoleReader } from '@fieldbook/core/objects';
