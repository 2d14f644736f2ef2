/** The file of the ledger: what each migration does to it, and the folders that the gateway refuses to touch. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrations } from '../../../electron/gateway/store/migrations/index.ts';
import { DATABASE_FILE, DataFolderError } from '../../../electron/gateway/store/data-folder.ts';
import { migrate, newestVersion, openStore } from '../../../electron/gateway/store/store.ts';
import { addProvider, projectRoot, startCore, temporaryFolder } from '../../support/gateway.ts';
import { startUpstream } from '../../support/upstream.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = temporaryFolder();
  path = join(folder, DATABASE_FILE);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A file of an earlier version, as that version would have left it. */
function fileOfVersion(version: number, fill: (db: Database.Database) => void = () => {}): void {
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  migrate(db, path, version);
  fill(db);
  db.close();
}

function read<T>(query: (db: Database.Database) => T): T {
  const db = new Database(path, { readonly: true });
  try {
    return query(db);
  } finally {
    db.close();
  }
}

const versionOf = (db: Database.Database) => db.pragma('user_version', { simple: true });
const schemaOf = (db: Database.Database) =>
  db.prepare('SELECT name, sql FROM sqlite_schema ORDER BY name').all();

const secret = `sk-fg-${'a'.repeat(43)}`;
const secretHash = createHash('sha256').update(secret).digest();

const keyOfVersion1 = {
  id: 'key_1',
  name: 'from before limits',
  secret_hash: secretHash,
  masked: 'sk-fg-aaaa…aaaa',
  enabled: 1,
  created_at: 1_790_000_000_000,
  last_used_at: 1_790_000_100_000,
  expires_at: null,
  deleted_at: null,
  usage_credits_nano: 1_500_000_000,
  usage_own_key_nano: 250_000_001,
  requests: 3,
  unpriced_requests: 1,
  input_tokens: 1200,
  output_tokens: 340,
};

function insert(db: Database.Database, table: string, row: Record<string, unknown>): void {
  const names = Object.keys(row);
  db.prepare(
    `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((name) => `@${name}`).join(', ')})`,
  ).run(row);
}

describe('the list of migrations', () => {
  test('is numbered upwards without a gap', () => {
    expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, index) => index + 1));
    expect(newestVersion()).toBe(migrations.length);
  });

  test('leads to the same schema step by step as all at once', () => {
    for (const { version } of migrations) fileOfVersion(version);
    const stepwise = read(schemaOf);
    const other = new Database(':memory:');
    migrate(other, ':memory:');
    expect(schemaOf(other)).toEqual(stepwise);
    other.close();
  });
});

describe('migration 1, ledger', () => {
  test('makes every table of a new file, empty and strict', () => {
    fileOfVersion(1);
    const tables = read((db) =>
      db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").pluck().all(),
    );
    expect(tables).toEqual(['corrections', 'holds', 'keys', 'prices', 'providers', 'requests', 'settings']);
    for (const table of tables) {
      expect(
        read((db) =>
          db
            .prepare(`SELECT count(*) FROM ${String(table)}`)
            .pluck()
            .get(),
        ),
      ).toBe(0);
      expect(
        read((db) => db.prepare('SELECT strict FROM pragma_table_list WHERE name = ?').pluck().get(table)),
      ).toBe(1);
    }
  });
});

describe('migration 2, limits', () => {
  test('keeps every key as it was and gives it no limit', () => {
    fileOfVersion(1, (db) => {
      insert(db, 'keys', keyOfVersion1);
      insert(db, 'keys', { ...keyOfVersion1, id: 'key_2', secret_hash: null, deleted_at: 1_790_000_200_000 });
    });
    fileOfVersion(2);
    const noLimit = {
      limit_nano: null,
      recurring_nano: null,
      recurring_every: null,
      window_start: null,
      window_used_nano: 0,
    };
    expect(read((db) => db.prepare('SELECT * FROM keys ORDER BY id').all())).toEqual([
      { ...keyOfVersion1, ...noLimit },
      { ...keyOfVersion1, ...noLimit, id: 'key_2', secret_hash: null, deleted_at: 1_790_000_200_000 },
    ]);
  });

  test('leaves holds, usage rows, corrections, prices, providers and settings untouched', () => {
    const at = 1_790_000_000_000;
    const tables = ['holds', 'requests', 'corrections', 'providers', 'prices', 'settings'];
    fileOfVersion(1, (db) => {
      insert(db, 'providers', {
        id: 'p',
        kind: 'openai',
        name: 'P',
        slug: 'p',
        base_url: 'http://x/v1',
        billing: 'free',
        credential: Buffer.from('sealed'),
        enabled: 1,
        created_at: at,
      });
      insert(db, 'prices', { provider_id: 'p', model: 'm', price: '{}', set_at: at });
      insert(db, 'settings', { name: 'port', value: '4000' });
      insert(db, 'holds', {
        id: 9,
        key_id: 'key_1',
        at,
        amount_nano: 5,
        provider: 'p',
        billing: 'free',
        dialect: 'openai-chat',
        model: 'm',
        stream: 1,
        price: null,
      });
      insert(db, 'requests', usageRow(8, at));
      insert(db, 'corrections', {
        request_id: 8,
        at,
        cost_before_nano: null,
        cost_after_nano: 7,
        reason: 'r',
      });
    });
    const rows = () => read((db) => tables.map((table) => db.prepare(`SELECT * FROM ${table}`).all()));
    const before = rows();
    fileOfVersion(2);
    expect(rows()).toEqual(before);
    expect(before.map((table) => table.length)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test('a key from before has no limit and is served', async () => {
    fileOfVersion(1, (db) => insert(db, 'keys', keyOfVersion1));
    const upstream = await startUpstream();
    const gateway = await startCore({ dataDir: folder });
    await addProvider(gateway, upstream, 'openai');

    const [row] = await gateway.call('keys.list', {});
    expect(row).toMatchObject({
      id: 'key_1',
      limitNano: null,
      recurring: null,
      limitState: 'none',
      usageNano: 1_750_000_001,
      requests: 3,
    });
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}` },
      body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] }),
    });
    expect(response.status).toBe(200);
    await response.text();
    const [after] = await gateway.call('keys.list', {});
    expect(after?.requests).toBe(4);
    await gateway.dispose();
    await upstream.close();
  });
});

describe('a file that cannot be taken', () => {
  test('from a newer version is refused with a sentence, and stays as it was to the byte', () => {
    fileOfVersion(2, (db) => {
      insert(db, 'keys', keyOfVersion1);
      db.pragma('user_version = 99');
    });
    const before = readFileSync(path);
    expect(() => openStore(folder)).toThrow(DataFolderError);
    expect(() => openStore(folder)).toThrow(
      new RegExp(`newer version of Faregate \\(schema 99, this one knows ${newestVersion()}\\)`),
    );
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(folder).filter((name) => /-(wal|shm)$/.test(name))).toEqual([]);
  });

  test('on which a migration fails is left at its version with all its rows', () => {
    // A column that the migration is about to add is there already: it fails half way.
    fileOfVersion(1, (db) => {
      insert(db, 'keys', keyOfVersion1);
      db.exec('ALTER TABLE keys ADD COLUMN recurring_every TEXT');
    });
    const before = read((db) => [versionOf(db), schemaOf(db), db.prepare('SELECT * FROM keys').all()]);
    expect(() => openStore(folder)).toThrow(DataFolderError);
    expect(read((db) => [versionOf(db), schemaOf(db), db.prepare('SELECT * FROM keys').all()])).toEqual(
      before,
    );
    expect(before[0]).toBe(1);
  });

  test('that is no database is refused with what to do, and stays as it was', () => {
    const garbage = Buffer.from('This is a shopping list and no database.\n'.repeat(300));
    writeFileSync(path, garbage);
    expect(() => openStore(folder)).toThrow(DataFolderError);
    expect(() => openStore(folder)).toThrow(/is damaged and cannot be read\. Restore a backup/);
    expect(readFileSync(path).equals(garbage)).toBe(true);
  });

  test('that is a folder is refused', () => {
    mkdirSync(path);
    expect(() => openStore(folder)).toThrow(DataFolderError);
  });

  test('can be taken again once it is mended: nothing of the refused attempt holds the folder', () => {
    writeFileSync(path, 'garbage'.repeat(1000));
    expect(() => openStore(folder)).toThrow(DataFolderError);
    rmSync(path);
    const store = openStore(folder);
    expect(versionOf(store.db)).toBe(newestVersion());
    store.close();
  });
});

describe('a data folder', () => {
  test('that is in use by another gateway is refused until that one has closed', async () => {
    const first = await startCore({ dataDir: folder });
    await expect(startCore({ dataDir: folder })).rejects.toThrow(DataFolderError);
    await expect(startCore({ dataDir: folder })).rejects.toThrow(/already running with the data folder/);
    await first.gateway.close({ graceMs: 0 });
    const second = await startCore({ dataDir: folder });
    expect((await second.call('status.get', {})).problem).toBeNull();
    await second.dispose();
  });

  test('that another process uses is refused', () => {
    const store = openStore(folder);
    const { stdout } = openInProcess(folder, {});
    expect(stdout).toMatch(/^DataFolderError: Faregate is already running/);
    store.close();
  });

  test('below a file, where none can be made, is refused', () => {
    writeFileSync(path, '');
    expect(() => openStore(join(path, 'below'))).toThrow(/cannot be created\. Choose another one/);
  });

  test.skipIf(process.platform === 'win32')('that cannot be written is refused', () => {
    // The superuser writes everywhere, so where the tests run as one, the attempt is made as nobody.
    const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    chmodSync(folder, 0o555);
    const { stdout } = openInProcess(folder, nobody);
    chmodSync(folder, 0o755);
    expect(stdout).toMatch(/^DataFolderError: The data folder .* cannot be written\. Choose another one/);
  });

  test.skipIf(process.platform === 'win32')('whose ledger cannot be written is refused', () => {
    fileOfVersion(newestVersion());
    chmodSync(path, 0o444);
    const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    if ('uid' in nobody) chownSync(folder, 65_534, 65_534);
    const { stdout } = openInProcess(folder, nobody);
    expect(stdout).toMatch(/^DataFolderError: .*faregate\.db cannot be written\. Correct the permissions/);
  });
});

/** Opens the folder in a process of its own and prints how that went. */
function openInProcess(dataDir: string, identity: { uid?: number; gid?: number }): { stdout: string } {
  const module = pathToFileURL(join(projectRoot, 'electron', 'gateway', 'store', 'store.ts')).href;
  const code = `const { openStore } = await import(${JSON.stringify(module)});
    try { openStore(${JSON.stringify(dataDir)}).close(); console.log('opened'); }
    catch (error) { console.log(error.name + ': ' + error.message); }`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    ...identity,
  });
  if (stdout === '') throw new Error(stderr);
  return { stdout };
}

function usageRow(id: number, at: number): Record<string, unknown> {
  return {
    id,
    key_id: 'key_1',
    at,
    settled_at: at,
    provider: 'p',
    billing: 'free',
    dialect: 'openai-chat',
    model_asked: 'm',
    model: 'm',
    status: 200,
    stream: 0,
    input_tokens: 1,
    cached_input_tokens: 0,
    cache_write_tokens: 0,
    cache_write_1h_tokens: 0,
    output_tokens: 1,
    reasoning_tokens: 0,
    web_searches: 0,
    cost_nano: null,
    cost_own_key_nano: 0,
    reported_cost_nano: null,
    computed_cost_nano: null,
    held_nano: 5,
    price: null,
    price_source: null,
    flags: 'unpriced',
    first_byte_ms: 1.5,
    duration_ms: 2.5,
  };
}
