export { Bandwidth } from './bandwidth.ts';
export { askWorkspace, offerWorkspace, redeemInvitation } from './ask-workspace.ts';
export { backoffMs } from './backoff.ts';
export type { BlobArrival } from './blob-arrival.ts';
export { arrivalFor } from './blob-arrival.ts';
export type { BlobPeer, Request } from './blob-peer.ts';
export { blobPeerOverHttp } from './blob-peer.ts';
export { BlobPull } from './blob-pull.ts';
export type { BlobSyncOptions, BlobSyncStatus } from './blob-sync.ts';
export { BlobSync } from './blob-sync.ts';
export type { ClientOptions, PeerStatus } from './client.ts';
export { ReplicationClient } from './client.ts';
export type { Follows } from './follows.ts';
export { NOT_FOLLOWED } from './follows.ts';
export type { PeerExchangeOptions } from './peer-exchange.ts';
export { fetchingBlobs, hiddenAddress, incomingAddress, incomingState, PeerExchange } from './peer-exchange.ts';
export type { Refusal } from './peer-memory.ts';
export { PeerMemories } from './peer-memories.ts';
export { PeerMemory } from './peer-memory.ts';
export type { Frame, Hello } from './protocol.ts';
export {
  decodeFrame,
  encodeFrame,
  PROTOCOL_VERSION,
  SUBPROTOCOL,
  TICKET_SUBPROTOCOL,
  TOKEN_SUBPROTOCOL,
} from './protocol.ts';
export type { ServerOptions } from './server.ts';
export { ReplicationServer } from './server.ts';
export type { SessionEnd, SessionOptions } from './session.ts';
export { ReplicationSession } from './session.ts';
export type { Sha256 } from './proof.ts';
export { proofOf } from './proof.ts';
export { splitUpdate } from './split.ts';
