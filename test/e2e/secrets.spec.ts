/**
 * After a full story the marks that were planted as credential, gateway key, prompt and answer are searched wherever
 * Faregate could have left them: its folder, its output, its answers, its arguments, and the memory of its page.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { methods } from '#shared/contract.ts';
import { send } from '../support/client.ts';
import { addProvider } from '../support/gateway.ts';
import { expect, test, upstreamCredential } from './fixtures.ts';

const marks = {
  credential: upstreamCredential,
  prompt: 'MARK-PROMPT-8d2b71',
  system: 'MARK-SYSTEM-90aa3c',
  answer: 'MARK-ANSWER-3e6f55',
  thrown: 'MARK-ERROR-77c2d4',
};

test('no credential, key, prompt or answer is left anywhere', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  const credential = marks.credential;
  for (const kind of ['openai', 'anthropic', 'gemini'] as const)
    await addProvider(gateway, upstream, kind, { credential });
  const { key, secret } = await gateway.call('keys.create', { name: 'marked' });
  const small = await gateway.call('keys.create', { name: 'small', limitNano: 1 });
  const errors: string[] = [];

  await test.step('a story: answers, streams, refusals, errors, a replaced key', async () => {
    upstream.answers(() => ({ inputTokens: 7, outputTokens: 3, text: marks.answer }));
    const messages = [
      { role: 'system', content: marks.system },
      { role: 'user', content: marks.prompt },
    ];
    const ask = (path: string, body: object, using = secret) =>
      send(`${gateway.url}${path}`, {
        headers: { authorization: `Bearer ${using}` },
        body: { max_tokens: 10, ...body },
      });
    upstream.reply(/chat\/completions$/, {
      body: {
        model: 'gpt-4o',
        choices: [{ message: { content: marks.answer } }],
        usage: { prompt_tokens: 7, completion_tokens: 3 },
      },
    });
    upstream.reply(/messages$/, {
      headers: { 'content-type': 'text/event-stream' },
      chunks: [
        `data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"${marks.answer}"}}\n\n`,
      ],
      reset: true,
    });
    upstream.reply(/generateContent$/, {
      status: 500,
      body: { error: { message: `${marks.thrown} ${credential}` } },
    });
    expect((await ask('/v1/chat/completions', { model: 'gpt-4o', messages })).text).toContain(marks.answer);
    await ask('/v1/messages', { model: 'claude-haiku-4-5', messages, system: marks.system, stream: true });
    await ask('/v1beta/models/gemini-2.5-flash:generateContent', {
      contents: [{ parts: [{ text: marks.prompt }] }],
    });
    for (const [path, body, using] of [
      ['/v1/chat/completions', { model: 'gpt-4o', messages }, small.secret],
      ['/v1/chat/completions', { model: 'gpt-4o', messages }, `${secret}x`],
      ['/v1/chat/completions', { model: marks.prompt.repeat(20), messages }, secret],
      ['/v1/chat/completions', { messages }, secret],
      ['/v1/images/generations', { prompt: marks.prompt }, secret],
    ] as const)
      errors.push((await ask(path, body, using)).text);
    const malformed = await send(`${gateway.url}/v1/chat/completions`, {
      headers: { authorization: `Bearer ${secret}` },
      body: `{"messages": "${marks.prompt}`,
    });
    errors.push(malformed.text);
  });

  const told =
    await test.step('every page is looked at, and every method without an input asked', async () => {
      for (const link of await page.getByRole('navigation').getByRole('link').all()) {
        await link.click();
        await expect(page.getByRole('heading', { level: 1 }).first()).toBeVisible();
      }
      const answers = [];
      for (const name of Object.keys(methods)) {
        if (/^(connect|gateway|prices\.refresh|backups\.(create|restore))/.test(name)) continue;
        for (const input of [{}, { id: key.id }, { id: 1 }, { keyId: key.id }]) {
          const given = await fetch(`${gateway.apiUrl}/call`, {
            method: 'POST',
            headers: { authorization: `Bearer ${gateway.token}`, 'content-type': 'application/json' },
            body: JSON.stringify({
              name,
              input: name === 'keys.delete' || name === 'keys.rotate' ? {} : input,
            }),
          });
          answers.push(await given.text());
        }
      }
      return answers.join('\n');
    });

  const memory = await test.step('the memory of the page', async () => {
    const session = await page.context().newCDPSession(page);
    const parts: string[] = [];
    session.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => parts.push(chunk));
    await session.send('HeapProfiler.collectGarbage');
    await session.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
    await session.detach();
    return parts.join('');
  });
  // That it is the page's memory: the key's name is on it.
  expect(memory).toContain('marked');

  const argumentsOf = readFileSync(`/proc/${gateway.pid}/cmdline`, 'latin1');
  const running = filesOf(gateway.dataDir);
  await gateway.stop();

  const places: Record<string, string> = {
    'the folder while it runs': running,
    'the folder afterwards': filesOf(gateway.dataDir),
    'the output': gateway.output(),
    'answers of the contract': told,
    'texts of errors': errors.join('\n'),
    'arguments of the process': argumentsOf,
    'the memory of the page': memory,
  };
  const searched = [...Object.entries(marks), ['key', secret], ['small key', small.secret]];
  const found = Object.entries(places).flatMap(([place, text]) =>
    searched.filter(([, mark]) => text.includes(mark ?? '')).map(([what]) => `${what} in ${place}`),
  );
  expect(found).toEqual([]);
  console.log(`Secrets: ${searched.length} marks searched in ${Object.keys(places).length} places, 0 found`);
});

function filesOf(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(`${entry.parentPath}/${entry.name}`).toString('latin1'))
    .join('\n');
}
