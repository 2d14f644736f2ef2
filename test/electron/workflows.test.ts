/** The workflows of the public CI, which cannot run here: their syntax, and that what they name is there. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import * as z from 'zod';

const root = path.resolve(import.meta.dirname, '..', '..');
const folder = path.join(root, '.github', 'workflows');

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const permissions = z.record(z.string(), z.enum(['read', 'write', 'none']));
/** As far as it is used here: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax */
const Step = z
  .strictObject({
    name: z.string().optional(),
    if: z.string().optional(),
    uses: z.string().optional(),
    run: z.string().optional(),
    shell: z.enum(['bash']).optional(),
    with: z.record(z.string(), scalar).optional(),
    env: z.record(z.string(), scalar).optional(),
  })
  .refine(({ uses, run }) => (uses === undefined) !== (run === undefined), 'a step uses or runs');
const Workflow = z.strictObject({
  name: z.string(),
  on: z.strictObject({
    push: z
      .strictObject({ branches: z.array(z.string()).optional(), tags: z.array(z.string()).optional() })
      .optional(),
    pull_request: z.null().optional(),
    workflow_dispatch: z.null().optional(),
  }),
  permissions,
  concurrency: z.strictObject({ group: z.string(), 'cancel-in-progress': z.boolean() }).optional(),
  jobs: z.record(
    z.string().regex(/^[a-z][a-z0-9-]*$/),
    z.strictObject({
      name: z.string(),
      if: z.string().optional(),
      needs: z.union([z.string(), z.array(z.string())]).optional(),
      'runs-on': z.string(),
      'timeout-minutes': z.int().positive(),
      permissions: permissions.optional(),
      strategy: z
        .strictObject({
          'fail-fast': z.boolean().optional(),
          matrix: z.strictObject({
            os: z.array(z.string()).optional(),
            include: z.array(z.record(z.string(), z.string())).optional(),
          }),
        })
        .optional(),
      steps: z.array(Step).min(1),
    }),
  ),
});
type Workflow = z.infer<typeof Workflow>;

function read(name: string): Workflow {
  const document = parseDocument(readFileSync(path.join(folder, name), 'utf8'), { uniqueKeys: true });
  expect([...document.errors, ...document.warnings]).toEqual([]);
  return Workflow.parse(document.toJS());
}

const expressions = (value: unknown) =>
  [...JSON.stringify(value).matchAll(/\$\{\{ ?(.*?) ?\}\}/g)].map(([, inside = '']) => inside);

test('there is one for every change and one for releases', () => {
  expect(readdirSync(folder).toSorted()).toEqual(['ci.yml', 'release.yml']);
});

describe.each(['ci.yml', 'release.yml'])('%s', (name) => {
  const workflow = read(name);
  const jobs = Object.entries(workflow.jobs);

  test('names jobs, values of its matrix and scripts that there are', () => {
    const scripts = Object.keys(JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).scripts);
    for (const [id, job] of jobs) {
      for (const needed of [job.needs ?? []].flat()) expect(Object.keys(workflow.jobs), id).toContain(needed);
      const { os, include = [] } = job.strategy?.matrix ?? {};
      const values = [...(os ? ['os'] : []), ...Object.keys(include[0] ?? {})];
      for (const used of expressions(job).filter((each) => each.startsWith('matrix.')))
        expect(values).toContain(used.slice('matrix.'.length));
      for (const row of include)
        expect(Object.keys(row).toSorted()).toEqual(Object.keys(include[0] ?? {}).toSorted());
      for (const [, script] of JSON.stringify(job.steps).matchAll(/npm (?:run )?(test:\w+|test|build)\b/g))
        expect(scripts).toContain(script);
    }
  });

  test('runs nobody else’s actions, and may write only where it drafts the release', () => {
    const used = jobs.flatMap(([, job]) => job.steps.flatMap(({ uses }) => uses ?? []));
    expect(used.filter((action) => !/^actions\/[a-z-]+@v\d+$/.test(action))).toEqual([]);
    expect(workflow.permissions).toEqual({ contents: 'read' });
    const writers = jobs.filter(([, { permissions: own }]) => Object.values(own ?? {}).includes('write'));
    expect(writers.map(([id]) => id)).toEqual(name === 'release.yml' ? ['publish'] : []);
  });

  test('puts into its scripts nothing that others write, and secrets only where they are used', () => {
    for (const [, job] of jobs) {
      for (const step of job.steps) {
        const inScript = expressions([step.run ?? '', step.uses ?? '']);
        expect(inScript.filter((each) => !each.startsWith('matrix.'))).toEqual([]);
      }
      const { steps: _, ...around } = job;
      expect(expressions([around, workflow.on]).filter((each) => each.startsWith('secrets.'))).toEqual([]);
    }
  });
});

test('the secrets that a release can be signed with are those its head explains', () => {
  const text = readFileSync(path.join(folder, 'release.yml'), 'utf8');
  const [head = ''] = text.split('\nname:');
  const used = new Set([...text.matchAll(/secrets\.([A-Z_]+)/g)].map(([, secret = '']) => secret));
  const explained = new Set([...head.matchAll(/\b[A-Z]+_[A-Z_]+\b/g)].map(([secret]) => secret));
  expect([...used].toSorted()).toEqual([...explained].toSorted());
});

test('every kind of package that is built is uploaded, with the feeds of the updater', () => {
  const builder = parseDocument(readFileSync(path.join(root, 'electron-builder.yml'), 'utf8')).toJS();
  const endings: Record<string, string> = { nsis: 'exe' };
  const upload = read('release.yml')
    .jobs['package']?.steps.map((step) => String(step.with?.['path'] ?? ''))
    .join('\n')
    .split('\n');
  for (const system of ['mac', 'win', 'linux']) {
    for (const target of builder[system].target)
      expect(upload).toContain(`release/*.${endings[target] ?? target}`);
  }
  expect(upload).toContain('release/latest*.yml');
});
