/** A file the person chooses, written as it comes; where the browser cannot do that, a download made of parts. */

export interface FileSink {
  write(text: string): Promise<void>;
  /** Makes the file complete. */
  close(): Promise<void>;
  /** Leaves nothing behind. */
  abort(): Promise<void>;
}

/** The part of the File System Access API used here; TypeScript's own types do not have it yet. */
interface SaveFilePicker {
  showSaveFilePicker(options: { suggestedName: string }): Promise<FileSystemFileHandle>;
}

const canPick = (scope: object): scope is SaveFilePicker => 'showSaveFilePicker' in scope;

/** null where the person chose none. Has to be called from a click. */
export async function openFile(name: string, type: string): Promise<FileSink | null> {
  if (!canPick(window)) return downloadSink(name, type);
  try {
    const handle = await window.showSaveFilePicker({ suggestedName: name });
    const stream = await handle.createWritable();
    return {
      write: (text) => stream.write(text),
      close: () => stream.close(),
      abort: () => stream.abort(),
    };
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return null;
    // A window that may not write files can still download.
    return downloadSink(name, type);
  }
}

function downloadSink(name: string, type: string): FileSink {
  // A Blob of Blobs lets the browser keep the parts on disk instead of in one long string.
  let parts: Blob[] = [];
  return {
    write: async (text) => void parts.push(new Blob([text])),
    async close() {
      const url = URL.createObjectURL(new Blob(parts, { type }));
      const link = document.createElement('a');
      link.href = url;
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    },
    abort: async () => void (parts = []),
  };
}
