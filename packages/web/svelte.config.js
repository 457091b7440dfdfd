/** Svelte 5 reads TypeScript by itself; runes everywhere, so that there is one idiom. */
export default {
  compilerOptions: { runes: true },
  vitePlugin: {
    // bits-ui ships components of its own that decide for themselves.
    dynamicCompileOptions: ({ filename }) => (filename.includes('node_modules') ? { runes: undefined } : undefined),
  },
};
