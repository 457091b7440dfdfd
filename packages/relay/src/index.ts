export type { Relay, RelayOptions } from './relay.ts';
export { startRelay } from './relay.ts';
export type { AuditEntry, AuditEvent } from './audit.ts';
export { Audit, readAudit } from './audit.ts';
export type { CheckedBlobs } from './blob-care.ts';
export type { Token, TokenEnd, TokenSpec } from './tokens.ts';
export { Invitations } from './invitations.ts';
export { Tokens } from './tokens.ts';
