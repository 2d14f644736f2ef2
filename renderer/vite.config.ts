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
    // One window, one bundle read from the local disk: splitting would only add requests.
    chunkSizeWarningLimit: 1500,
  },
});
