/** Loaded where a rebuilt document is first seen, which most browsers never do. */
export { carryOver } from '@fieldbook/core/repair';
