import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { VitePWA } from 'vite-plugin-pwa';

/** `FIELDBOOK_URL` names the agent or relay that the development server talks to. */
const server = process.env['FIELDBOOK_URL'] ?? 'http://127.0.0.1:4270';

const core = new URL('../core/src', import.meta.url).pathname;

/** Notes for bundlers and coverage are for nobody in a browser; licences stay. */
const BARE = { comments: { legal: true, annotation: false, jsdoc: false } };

export default defineConfig({
  root: import.meta.dirname,
  resolve: {
    // Core from its sources by path: the condition `source` would also pick other packages' sources.
    alias: [
      { find: /^@fieldbook\/core$/, replacement: `${core}/index.ts` },
      { find: /^@fieldbook\/core\/(.+)$/, replacement: `${core}/$1/index.ts` },
      // What yjs can print to the console, as Node has it: that of browsers brings an element builder along, for nothing.
      { find: /^lib0\/logging$/, replacement: fileURLToPath(import.meta.resolve('lib0/logging')) },
    ],
    dedupe: ['yjs', 'lib0', 'y-protocols'],
  },
  plugins: [
    svelte(),
    VitePWA({
      strategies: 'injectManifest',
      srcDir: 'src',
      filename: 'sw.ts',
      registerType: 'prompt',
      // The page registers the worker itself: no inline script, so a strict content security policy holds.
      injectRegister: false,
      injectManifest: { globPatterns: ['**/*.{html,js,css,svg,png,webmanifest}'], globIgnores: ['icon-512*.png'] },
      manifest: {
        name: 'Fieldbook',
        short_name: 'Fieldbook',
        description: 'A field book of machine-learning runs that works with no network and merges later.',
        start_url: '/',
        scope: '/',
        id: '/',
        display: 'standalone',
        background_color: '#fbfbf8',
        theme_color: '#fbfbf8',
        icons: [
          { src: '/icon.svg', sizes: 'any', type: 'image/svg+xml' },
          { src: '/icon-192.png', sizes: '192x192', type: 'image/png' },
          { src: '/icon-512.png', sizes: '512x512', type: 'image/png' },
          { src: '/icon-512-maskable.png', sizes: '512x512', type: 'image/png', purpose: 'maskable' },
        ],
      },
    }),
  ],
  worker: { format: 'es', rolldownOptions: { output: BARE } },
  build: {
    target: 'es2022',
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { output: BARE },
  },
  server: { proxy: { '/api': { target: server }, '/rooms': { target: server, ws: true } } },
});
