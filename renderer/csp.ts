/**
 * What the page's Content-Security-Policy asks of the code. Imported first by main.tsx, before any schema is used.
 */
import * as z from 'zod';

// zod compiles object parsers with `new Function`, which `script-src 'self'` forbids and reports on the console.
z.config({ jitless: true });

/** The nonce of this response, for every <style> element made at run time; empty where the server set none. */
export function styleNonce(): string {
  // Browsers hide the attribute from scripts and leave only the property.
  const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';
  return nonce === '__CSP_NONCE__' ? '' : nonce;
}
