/** Providers: the connections to upstreams that a person set up, their credentials sealed. */
import { randomUUID } from 'node:crypto';
import type { Billing, DialectId, ProviderKind, ProviderRow } from '#shared/model.ts';
import type { Store } from '../store/store.ts';
import { providerKindFacts } from './provider-kinds.ts';

export interface Provider {
  id: string;
  kind: ProviderKind;
  name: string;
  slug: string;
  baseUrl: string;
  billing: Billing;
  enabled: boolean;
  createdAt: number;
  /** Plain, in memory only; null where none is stored or it could not be opened. */
  credential: string | null;
  credentialState: 'none' | 'stored' | 'unreadable';
}

/** What a person gives to make or change a provider; undefined leaves a field as it is. */
export interface ProviderFields {
  name?: string | undefined;
  slug?: string | undefined;
  baseUrl?: string | undefined;
  billing?: Billing | undefined;
  enabled?: boolean | undefined;
  credential?: string | null | undefined;
}

/** Encrypts credentials at rest. `open` rejects where the bytes were sealed under another key. */
export interface Secrets {
  seal(plain: string): Promise<Buffer>;
  open(sealed: Buffer): Promise<string>;
  /** Whether it is better sealed anew, as after the system's store changed its key: asked of what was opened. */
  isOutdated?(sealed: Buffer): boolean;
}

export interface Providers {
  list(): Provider[];
  get(id: string): Provider | undefined;
  create(kind: ProviderKind, fields: ProviderFields): Promise<Provider>;
  update(id: string, fields: ProviderFields): Promise<Provider | undefined>;
  remove(id: string): boolean;
  /** Another set after each change. */
  slugs(): ReadonlySet<string>;
  /** Enabled providers that speak a dialect, in the order they were added. */
  speaking(dialect: DialectId): Provider[];
}

/** A field of a provider is not acceptable; the message is for the person. */
export class ProviderFieldError extends Error {
  readonly field: 'slug' | 'baseUrl' | 'credential';
  constructor(field: 'slug' | 'baseUrl' | 'credential', message: string) {
    super(message);
    this.name = 'ProviderFieldError';
    this.field = field;
  }
}

interface ProviderRecord {
  id: string;
  kind: ProviderKind;
  name: string;
  slug: string;
  base_url: string;
  billing: Billing;
  credential: Buffer | null;
  enabled: number;
  created_at: number;
}

export async function createProviders(store: Store, secrets: Secrets, now: () => number): Promise<Providers> {
  const { db } = store;
  const providers = new Map<string, Provider>();
  let slugs: ReadonlySet<string> = new Set<string>();
  const recountSlugs = () => {
    slugs = new Set([...providers.values()].map(({ slug }) => slug));
  };
  const insert = db.prepare(
    'INSERT INTO providers (id, kind, name, slug, base_url, billing, credential, enabled, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const change = db.prepare(
    'UPDATE providers SET name = ?, slug = ?, base_url = ?, billing = ?, enabled = ? WHERE id = ?',
  );
  const changeCredential = db.prepare('UPDATE providers SET credential = ? WHERE id = ?');
  const removeProvider = db.prepare('DELETE FROM providers WHERE id = ?');
  for (const record of db
    .prepare<[], ProviderRecord>('SELECT * FROM providers ORDER BY created_at, rowid')
    .all()) {
    providers.set(record.id, await open(record));
  }
  recountSlugs();

  async function open(record: ProviderRecord): Promise<Provider> {
    const provider: Provider = {
      id: record.id,
      kind: record.kind,
      name: record.name,
      slug: record.slug,
      baseUrl: record.base_url,
      billing: record.billing,
      enabled: record.enabled === 1,
      createdAt: record.created_at,
      credential: null,
      credentialState: 'none',
    };
    if (record.credential === null) return provider;
    try {
      const credential = await secrets.open(record.credential);
      if (secrets.isOutdated?.(record.credential)) await sealAnew(record.id, credential);
      return { ...provider, credential, credentialState: 'stored' };
    } catch {
      // A data folder from another machine: everything else works, and the window asks for the credential again.
      return { ...provider, credentialState: 'unreadable' };
    }
  }

  async function sealAnew(id: string, credential: string): Promise<void> {
    try {
      const sealed = await secrets.seal(credential);
      store.write(() => changeCredential.run(sealed, id));
    } catch {
      // It could be read as it is; the next start tries again.
    }
  }

  function freeSlug(wanted: string, id?: string): boolean {
    return ![...providers.values()].some((provider) => provider.slug === wanted && provider.id !== id);
  }

  function firstFreeSlug(base: string): string {
    let slug = base;
    for (let count = 2; !freeSlug(slug); count += 1) slug = `${base}-${count}`;
    return slug;
  }

  function checked(fields: ProviderFields, kind: ProviderKind, id?: string): ProviderFields {
    if (fields.slug !== undefined && !freeSlug(fields.slug, id)) {
      throw new ProviderFieldError(
        'slug',
        `Another provider is already called ${fields.slug}. Choose another slug.`,
      );
    }
    if (fields.slug !== undefined && reservedSlugs.has(fields.slug)) {
      throw new ProviderFieldError(
        'slug',
        `${fields.slug} is part of the gateway's own addresses. Choose another slug.`,
      );
    }
    const baseUrl = fields.baseUrl === undefined ? undefined : normalBaseUrl(fields.baseUrl);
    if (id === undefined && baseUrl === undefined && providerKindFacts[kind].baseUrl === '') {
      throw new ProviderFieldError('baseUrl', 'Enter the address of the endpoint, up to and including /v1.');
    }
    return { ...fields, baseUrl };
  }

  return {
    list: () => [...providers.values()],
    get: (id) => providers.get(id),
    slugs: () => slugs,
    speaking: (dialect) =>
      [...providers.values()].filter(
        (provider) => provider.enabled && providerKindFacts[provider.kind].dialects.includes(dialect),
      ),

    async create(kind, given) {
      const fields = checked(given, kind);
      const facts = providerKindFacts[kind];
      const credential = fields.credential || null;
      const sealed = credential === null ? null : await secrets.seal(credential);
      const provider: Provider = {
        id: `provider_${randomUUID()}`,
        kind,
        name: fields.name ?? facts.name,
        slug: fields.slug ?? firstFreeSlug(kind),
        baseUrl: fields.baseUrl ?? facts.baseUrl,
        billing: fields.billing ?? facts.billing,
        enabled: fields.enabled ?? true,
        createdAt: now(),
        credential,
        credentialState: credential === null ? 'none' : 'stored',
      };
      // Sealing awaited: another call may have taken the slug meanwhile.
      checked({ slug: provider.slug }, kind, provider.id);
      store.write(() =>
        insert.run(
          provider.id,
          kind,
          provider.name,
          provider.slug,
          provider.baseUrl,
          provider.billing,
          sealed,
          provider.enabled ? 1 : 0,
          provider.createdAt,
        ),
      );
      providers.set(provider.id, provider);
      recountSlugs();
      return provider;
    },

    async update(id, given) {
      const before = providers.get(id);
      if (!before) return undefined;
      const fields = checked(given, before.kind, id);
      const credential = fields.credential === '' ? undefined : fields.credential;
      // Whoever can change an address but not read the credential must not have it sent to them.
      if (
        credential === undefined &&
        before.credentialState !== 'none' &&
        fields.baseUrl !== undefined &&
        !sameOrigin(fields.baseUrl, before.baseUrl)
      ) {
        throw new ProviderFieldError(
          'credential',
          `The stored credential is for ${new URL(before.baseUrl).origin} only. Enter the one for ${new URL(fields.baseUrl).origin}, or remove it.`,
        );
      }
      const sealed = credential ? await secrets.seal(credential) : null;
      const provider = providers.get(id);
      if (!provider) return undefined;
      checked({ slug: fields.slug }, provider.kind, id);
      const next = {
        name: fields.name ?? provider.name,
        slug: fields.slug ?? provider.slug,
        baseUrl: fields.baseUrl ?? provider.baseUrl,
        billing: fields.billing ?? provider.billing,
        enabled: fields.enabled ?? provider.enabled,
      };
      store.write(() => {
        change.run(next.name, next.slug, next.baseUrl, next.billing, next.enabled ? 1 : 0, id);
        if (credential !== undefined) changeCredential.run(sealed, id);
      });
      Object.assign(provider, next);
      recountSlugs();
      if (credential !== undefined) {
        provider.credential = credential;
        provider.credentialState = credential === null ? 'none' : 'stored';
      }
      return provider;
    },

    remove(id) {
      if (!providers.has(id)) return false;
      store.write(() => removeProvider.run(id));
      providers.delete(id);
      recountSlugs();
      return true;
    },
  };
}

/** First path segments that the gateway's own routes use, so that `/{slug}/v1/…` stays unambiguous. */
const reservedSlugs = new Set([
  'v1',
  'v1beta',
  'api',
  'chat',
  'messages',
  'responses',
  'embeddings',
  'completions',
  'interactions',
  'models',
  'key',
]);

/** Whether a credential for one address may be sent to the other: same scheme, host and port. */
export function sameOrigin(one: string, other: string): boolean {
  return new URL(one).origin === new URL(other).origin;
}

/** Without a trailing slash; credentials in an address are refused, they would end up in logs. */
function normalBaseUrl(text: string): string {
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    throw new ProviderFieldError('baseUrl', 'Put the credential into its own field, not into the address.');
  }
  if (url.search !== '' || url.hash !== '') {
    throw new ProviderFieldError(
      'baseUrl',
      'End the address before the "?" or "#": requests cannot carry it.',
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

export function toProviderRow(provider: Provider): ProviderRow {
  return {
    id: provider.id,
    kind: provider.kind,
    name: provider.name,
    slug: provider.slug,
    baseUrl: provider.baseUrl,
    billing: provider.billing,
    enabled: provider.enabled,
    hasCredential: provider.credentialState === 'stored',
    credentialUnreadable: provider.credentialState === 'unreadable',
    dialects: [...providerKindFacts[provider.kind].dialects],
    createdAt: new Date(provider.createdAt).toISOString(),
  };
}
