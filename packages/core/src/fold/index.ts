export * from './attributes.ts';
export * from './author.ts';
export * from './canonical.ts';
export * from './project.ts';
export * from './register.ts';
export * from './run.ts';
export * from './state.ts';
