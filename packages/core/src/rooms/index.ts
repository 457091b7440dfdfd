export { liveSource, liveValuesIn, LiveVoice } from './live.ts';
export { EMPTY_AWARENESS, Presence, writeAwareness } from './presence.ts';
export type { RoomOptions, Visitor } from './room-server.ts';
export { ACK_SUBPROTOCOL, generationIn, MESSAGE_ACK, RoomServer } from './room-server.ts';
