/**
 * Begins the command line (command-line.ts). Node keeps what it compiled of that beside it, where it may write there, so
 * that only the first start compiles it: a third of the time until the gateway listens.
 */
import { enableCompileCache } from 'node:module';
import path from 'node:path';

enableCompileCache(path.join(import.meta.dirname, '.compiled'));
await import('./command-line.ts');
