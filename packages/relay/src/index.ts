export type { Relay, RelayOptions } from './relay.ts';
export { startRelay } from './relay.ts';
export type { Token, TokenRole } from './tokens.ts';
export { Tokens } from './tokens.ts';
