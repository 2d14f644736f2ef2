/** Where the file of a thread of the gateway lies. */

/** `name` without its ending, beside this file: as a source, or as what is built from it. */
export function workerFile(name: string): URL {
  const file = new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.mjs'}`, import.meta.url);
  // A thread is started from a real file, which what lies in Electron's archive is not.
  return new URL(file.href.replace('/app.asar/', '/app.asar.unpacked/'));
}
