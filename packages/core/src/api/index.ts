export type { Api } from './api.ts';
export { createApi } from './api.ts';
export type { Access, ApiHead, ApiRequest, ApiResponse, BodyTerms } from './http.ts';
export { errorResponse, json, jsonBytes, statusOf } from './http.ts';
export type {
  ApiActions,
  ApiOptions,
  BlobCheck,
  BlobRepair,
  DeviceInfo,
  Elsewhere,
  Evicted,
  EvictRequest,
  FileHealth,
  FollowSettings,
  FollowSource,
  FollowState,
  Incomplete,
  JournalHealth,
  LiveSource,
  LiveValues,
  PeerState,
  SyncSource,
  SyncState,
  WorkspaceInfo,
} from './options.ts';
export type { Place, RoomOptions } from './room.ts';
export { Room } from './room.ts';
export type { Call, Route } from './route.ts';
export type { Schema } from './schema.ts';
export { array, object, orNull } from './schema.ts';
export { siteFile, siteHeaders } from './site.ts';
