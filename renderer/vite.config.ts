import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // The same files are served from the desktop's own scheme and from a path of the loopback server.
  base: './',
  plugins: [react()],
  build: {
    outDir: '../dist/renderer',
    emptyOutDir: true,
    // The page allows `font-src 'self'` only, so nothing but files.
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            // One file keeps their order: csp.ts has to run after zod and before the first schema is made.
            { name: 'contract', test: /[\\/]node_modules[\\/]zod[\\/]|[\\/]shared[\\/]|[\\/]csp\.ts$/ },
          ],
        },
      },
    },
  },
});
