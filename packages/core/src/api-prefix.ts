/** Where the HTTP API of an agent or relay begins. */
export const API_PREFIX = '/api/v1';
