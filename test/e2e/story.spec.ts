/** The whole story, as a person and their tools live it: from an empty gateway to a limit that holds and is raised. */
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import type { Page } from '@playwright/test';
import OpenAI, { APIError } from 'openai';
import * as z from 'zod';
import { formatUsd } from '#shared/money.ts';
import { cell, expect, keyRow, test, upstreamCredential } from './fixtures.ts';

const models = { openai: 'gpt-4o', anthropic: 'claude-haiku-4-5', gemini: 'gemini-2.5-flash' };
const Bounds = z.object({
  max_completion_tokens: z.number().optional(),
  max_tokens: z.number().optional(),
  max_output_tokens: z.number().optional(),
  generationConfig: z.object({ maxOutputTokens: z.number().optional() }).optional(),
});
const prompt = 'Say hello.';

async function addProvider(page: Page, kind: string, baseUrl: string): Promise<void> {
  await page.getByRole('button', { name: 'Add provider' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Add provider' });
  await dialog.getByRole('combobox', { name: 'Provider' }).selectOption({ label: kind });
  await dialog.getByLabel('Base URL').fill(baseUrl);
  await dialog.getByRole('button', { name: 'Add provider' }).click();
  await expect(dialog.getByText('Enter the credential.')).toBeVisible();
  await dialog.getByLabel('Credential').fill('sk-wrong');
  await dialog.getByRole('button', { name: 'Test', exact: true }).click();
  await expect(dialog.getByText(/Incorrect API key|refused|401/)).toBeVisible();
  await dialog.getByLabel('Credential').fill(upstreamCredential);
  await dialog.getByRole('button', { name: 'Test', exact: true }).click();
  await expect(dialog.getByText(/\d+ models/)).toBeVisible();
  await dialog.getByRole('button', { name: 'Add provider' }).click();
  await expect(dialog).toBeHidden();
  await expect(keyRow(page, kind)).toContainText(baseUrl);
}

test('from the first start to a limit that is reached, raised and kept', async ({
  upstream,
  gateway,
  dashboard: page,
}) => {
  // As much output as the request allows, so that a few requests reach the limit.
  upstream.answers(({ json }) => ({
    inputTokens: 10,
    outputTokens: allowedOutput(json),
    text: 'Hello from upstream.',
  }));

  await test.step('a first start leads to the provider', async () => {
    await expect(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
    await expect(page.getByText('Set up Faregate')).toBeVisible();
  });

  await test.step('three providers are added and tested in the page', async () => {
    await page.getByRole('link', { name: 'Providers' }).click();
    await addProvider(page, 'OpenAI', `${upstream.url}/v1`);
    await addProvider(page, 'Anthropic', `${upstream.url}/v1`);
    await addProvider(page, 'Google Gemini', `${upstream.url}/v1beta`);
    expect(await page.content()).not.toContain(upstreamCredential);
  });

  const secret = await test.step('a key with a limit is created in the page', async () => {
    await page.getByRole('link', { name: 'API Keys' }).click();
    await page.getByRole('button', { name: 'Create API key' }).first().click();
    const dialog = page.getByRole('dialog', { name: 'Create API key' });
    await dialog.getByLabel('Name').fill('story');
    await dialog.getByLabel('Usage limit (USD)', { exact: true }).fill('0.10');
    await dialog.getByRole('button', { name: 'Create key' }).click();
    const shown = page.getByLabel('Secret of story');
    await expect(shown).toBeVisible();
    const text = await shown.evaluate((node) =>
      node instanceof HTMLInputElement ? node.value : node.textContent,
    );
    await page.getByRole('button', { name: 'Done' }).click();
    await expect(keyRow(page, 'story')).toBeVisible();
    const kept = await page.evaluate(() =>
      JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), location.href]),
    );
    expect((await page.content()) + kept).not.toContain(text.trim());
    return text.trim();
  });
  expect(secret).toMatch(/^sk-fg-[0-9A-Za-z]{43}$/);

  const openai = new OpenAI({ apiKey: secret, baseURL: `${gateway.url}/v1` });
  const anthropic = new Anthropic({ apiKey: secret, baseURL: gateway.url });
  const gemini = new GoogleGenAI({ apiKey: secret, httpOptions: { baseUrl: gateway.url } });
  const messages = [{ role: 'user' as const, content: prompt }];

  await test.step('the official SDKs are served, streamed and not, and usage moves without a reload', async () => {
    const usage = await cell(page, keyRow(page, 'story'), 'Usage');
    const shown = [await usage.innerText()];
    const expectMoved = async () => {
      await expect.poll(async () => (await usage.innerText()) !== shown.at(-1)).toBe(true);
      shown.push(await usage.innerText());
    };
    await page.evaluate(() => Reflect.set(window, 'sameDocument', true));

    const chat = await openai.chat.completions.create({
      model: models.openai,
      messages,
      max_completion_tokens: 200,
    });
    expect(chat.choices[0]?.message.content).toBe('Hello from upstream.');
    await expectMoved();

    const chatStream = await openai.chat.completions.create({
      model: models.openai,
      messages,
      max_completion_tokens: 200,
      stream: true,
    });
    let text = '';
    for await (const chunk of chatStream) {
      // The usage was asked for by the gateway, not by this client, which therefore must not see its chunk.
      expect(chunk.choices).toHaveLength(1);
      text += chunk.choices[0]?.delta.content ?? '';
    }
    expect(text).toBe('Hello from upstream.');
    await expectMoved();

    const response = await openai.responses.create({
      model: models.openai,
      input: prompt,
      max_output_tokens: 200,
    });
    expect(response.output_text).toBe('Hello from upstream.');
    await expectMoved();
    const responseStream = openai.responses.stream({
      model: models.openai,
      input: prompt,
      max_output_tokens: 200,
    });
    expect((await responseStream.finalResponse()).output_text).toBe('Hello from upstream.');
    await expectMoved();

    const message = await anthropic.messages.create({ model: models.anthropic, messages, max_tokens: 200 });
    expect(message.content).toMatchObject([{ type: 'text', text: 'Hello from upstream.' }]);
    await expectMoved();
    const messageStream = anthropic.messages.stream({ model: models.anthropic, messages, max_tokens: 200 });
    expect(await messageStream.finalText()).toBe('Hello from upstream.');
    await expectMoved();

    const config = { maxOutputTokens: 200 };
    const generated = await gemini.models.generateContent({ model: models.gemini, contents: prompt, config });
    expect(generated.text).toBe('Hello from upstream.');
    await expectMoved();
    let streamed = '';
    const generating = await gemini.models.generateContentStream({
      model: models.gemini,
      contents: prompt,
      config,
    });
    for await (const part of generating) streamed += part.text ?? '';
    expect(streamed).toBe('Hello from upstream.');
    await expectMoved();

    expect(await page.evaluate(() => Reflect.get(window, 'sameDocument'))).toBe(true);
    expect(upstream.requests.map(({ headers }) => JSON.stringify(headers)).join('')).not.toContain(secret);
  });

  const spend = () =>
    openai.chat.completions.create({ model: models.openai, messages, max_completion_tokens: 4000 });

  await test.step('the limit is reached: the SDK gets 402 with the sentence, and nothing reaches the provider', async () => {
    let refusal: unknown = null;
    for (let calls = 0; calls < 20 && refusal === null; calls += 1) {
      refusal = await spend().then(
        () => null,
        (error: unknown) => error,
      );
    }
    expect(refusal).toBeInstanceOf(APIError);
    expect(refusal).toMatchObject({ status: 402, code: 'insufficient_quota' });
    expect(String(refusal)).toMatch(/"story".*\$0\.10/s);

    const sent = upstream.requests.length;
    await expect(spend()).rejects.toMatchObject({ status: 402 });
    expect(upstream.requests).toHaveLength(sent);

    const [key] = await gateway.call('keys.list', {});
    expect(key?.usageNano).toBeLessThanOrEqual(100_000_000);
    expect(key?.usageNano).toBeGreaterThan(95_000_000);
    expect(key?.heldNano).toBe(0);
  });

  await test.step('lowered to below what is spent, it is shown as reached', async () => {
    await page.getByRole('button', { name: 'Edit usage limit of story' }).click();
    const dialog = page.getByRole('dialog', { name: 'Edit usage limit' });
    await dialog.getByLabel('Usage limit (USD)', { exact: true }).fill('0.05');
    await expect(dialog).toContainText('blocks new requests at once');
    await dialog.getByRole('button', { name: 'Save changes' }).click();
    await expect(keyRow(page, 'story')).toContainText('Limit reached');
    await expect(spend()).rejects.toMatchObject({ status: 402 });
  });

  await test.step('raised in the dialog, it is served again', async () => {
    const limit = await cell(page, keyRow(page, 'story'), 'Usage Limit');
    await limit.getByRole('button').click();
    const dialog = page.getByRole('dialog', { name: 'Edit usage limit' });
    await dialog.getByLabel('Usage limit (USD)', { exact: true }).fill('$10.00');
    await dialog.getByRole('button', { name: 'Save changes' }).click();
    await expect(limit).toContainText('$10.00');
    expect((await spend()).choices[0]?.message.content).toBe('Hello from upstream.');
  });

  await test.step('after a restart everything is still there', async () => {
    const before = await gateway.call('keys.list', {});
    expect(await gateway.stop()).toBe(0);
    const again = await gateway.restart({ port: Number(new URL(gateway.url).port) });
    try {
      expect(await again.call('keys.list', {})).toEqual(before);
      expect(await again.call('providers.list', {})).toHaveLength(3);
      await page.goto(again.dashboardUrl);
      await expect(await cell(page, keyRow(page, 'story'), 'Usage Limit')).toContainText('$10.00');
      await expect(await cell(page, keyRow(page, 'story'), 'Usage')).toContainText(
        formatUsd(before[0]?.usageNano ?? 0),
      );
      expect((await spend()).choices[0]?.message.content).toBe('Hello from upstream.');
    } finally {
      await again.stop();
    }
  });
});

/** The output bound of a request in any of the dialects. */
function allowedOutput(body: unknown): number {
  const { max_completion_tokens, max_tokens, max_output_tokens, generationConfig } = Bounds.parse(body ?? {});
  return max_completion_tokens ?? max_tokens ?? max_output_tokens ?? generationConfig?.maxOutputTokens ?? 5;
}
