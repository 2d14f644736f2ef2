/**
 * Reads and edits a JSON object as bytes, without building it: a request of five megabytes is scanned once for the
 * few fields that matter, and an edit replaces those bytes alone.
 */

/** The top-level fields of a JSON object that lies in `bytes`. */
export interface JsonFields {
  readonly bytes: Buffer;
  has(name: string): boolean;
  /** The parsed value of a top-level field; undefined where it is absent or cannot be parsed. */
  get(name: string): unknown;
  /** Whether the bytes contain this text anywhere: a cheap over-approximation of "this feature is used". */
  contains(text: string): boolean;
}

/** Sets the value at `path` to the JSON text `json`, adding objects on the way where they are missing. */
export interface JsonEdit {
  path: readonly [string, ...string[]];
  json: string;
}
