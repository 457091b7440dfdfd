export * from './address.ts';
export * from './announce.ts';
export * from './announcement.ts';
export * from './announcer.ts';
export * from './browser.ts';
export * from './message.ts';
export * from './multicast.ts';
export * from './txt.ts';
