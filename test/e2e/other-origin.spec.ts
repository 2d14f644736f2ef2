/**
 * A page of another origin, in a real browser on the same machine, must not be able to spend: not even if it has got
 * hold of a key, which each attempt here is given so that nothing but the origin can be the reason for a refusal.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, prepare, test } from './fixtures.ts';

const body = JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hello' }] });

test('fetch, form, image, script, frame, beacon, events and WebSocket of another origin never reach the provider', async ({
  page,
  gateway,
  upstream,
}) => {
  const { secret } = await prepare(gateway, upstream, { name: 'stolen' });
  const hostile = await startHostilePage();
  const chat = `${gateway.url}/v1/chat/completions?key=${secret}`;
  const statuses: number[] = [];
  page.on('response', (response) => {
    if (response.url().startsWith(gateway.url)) statuses.push(response.status());
  });
  try {
    await page.goto(hostile.url);

    const readable = await page.evaluate(
      async ({ url, text, key }) => {
        const attempts: Record<string, () => Promise<Response>> = {
          // Preflighted, and refused before it is sent.
          withHeaders: () =>
            fetch(url, {
              method: 'POST',
              headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
              body: text,
            }),
          // "Simple" requests, which a browser sends without asking.
          simple: () => fetch(url, { method: 'POST', body: text }),
          opaque: () => fetch(url, { method: 'POST', mode: 'no-cors', body: text }),
          get: () => fetch(url.replace('/chat/completions', '/models')),
          withCookies: () =>
            fetch(url, { method: 'POST', credentials: 'include', mode: 'no-cors', body: text }),
        };
        const read: string[] = [];
        for (const [name, attempt] of Object.entries(attempts)) {
          try {
            const response = await attempt();
            if (response.type !== 'opaque') read.push(name);
          } catch {
            // Refused, as it should be.
          }
        }
        navigator.sendBeacon(url, text);
        return read;
      },
      { url: chat, text: body, key: secret },
    );
    expect(readable, 'answers that the page could read').toEqual([]);

    await page.evaluate(
      (url) =>
        new Promise<void>((resolve) => {
          const image = new Image();
          image.addEventListener('load', () => resolve());
          image.addEventListener('error', () => resolve());
          image.src = url.replace('/chat/completions', '/models');
        }),
      chat,
    );
    // A frame without an origin says `Origin: null`; a script, a frame and an event stream say nothing.
    await page.evaluate(
      ({ url, text }) =>
        new Promise<void>((resolve) => {
          const frame = document.createElement('iframe');
          frame.setAttribute('sandbox', 'allow-scripts');
          frame.srcdoc = `<script>
            fetch(${JSON.stringify(url)}, { method: 'POST', mode: 'no-cors', body: ${JSON.stringify(text)} })
              .catch(() => {}).finally(() => parent.postMessage('over', '*'));
          </script>`;
          addEventListener('message', () => resolve(), { once: true });
          document.body.append(frame);
        }),
      { url: chat, text: body },
    );
    await page.evaluate(
      (url) =>
        Promise.all(
          ['script', 'iframe'].map(
            (name) =>
              new Promise<void>((resolve) => {
                const element = document.createElement(name);
                element.addEventListener('load', () => resolve());
                element.addEventListener('error', () => resolve());
                element.setAttribute('src', url);
                document.body.append(element);
              }),
          ),
        ),
      chat.replace('/chat/completions', '/models'),
    );
    const streamOpened = await page.evaluate(
      (url) =>
        new Promise<boolean>((resolve) => {
          const source = new EventSource(url);
          source.addEventListener('open', () => resolve(true));
          source.addEventListener('error', () => resolve(false));
        }),
      chat.replace('/chat/completions', '/models'),
    );
    expect(streamOpened).toBe(false);
    const socketOpened = await page.evaluate(
      (url) =>
        new Promise<boolean>((resolve) => {
          const socket = new WebSocket(
            url.replace('http:', 'ws:').replace('/chat/completions', '/responses'),
          );
          socket.addEventListener('open', () => resolve(true));
          socket.addEventListener('error', () => resolve(false));
        }),
      chat,
    );
    expect(socketOpened).toBe(false);

    // A form is the oldest way to send text to another origin; `text/plain` lets it be JSON.
    const submitted = page.waitForResponse(
      (response) => response.url() === chat && response.request().isNavigationRequest(),
    );
    await page.evaluate(
      ({ url, text }) => {
        const form = document.createElement('form');
        form.method = 'POST';
        form.action = url;
        form.enctype = 'text/plain';
        const input = document.createElement('input');
        const [name = '', value = ''] = text.replace('}]', ',"x":"=y"}]').split('=');
        Object.assign(input, { type: 'hidden', name, value });
        form.append(input);
        document.body.append(form);
        form.submit();
      },
      { url: chat, text: body },
    );
    expect((await submitted).status()).toBe(403);

    expect(statuses.length).toBeGreaterThan(0);
    expect(statuses.filter((status) => status < 400)).toEqual([]);
    expect(upstream.requests).toEqual([]);
    const [key] = await gateway.call('keys.list', {});
    expect(key).toMatchObject({ usageNano: 0, heldNano: 0, requests: 0 });
    tell(13, 13 - upstream.requests.length);
  } finally {
    await hostile.close();
  }
});

test('a foreign name that leads to this machine is refused', async ({ page, gateway, upstream }) => {
  const { secret } = await prepare(gateway, upstream, { name: 'rebound' });
  const { port } = new URL(gateway.url);
  const response = await page.goto(`http://attacker.rebound.test:${port}/v1/models?key=${secret}`);
  expect(response?.status()).toBe(403);
  // Now the page's own origin: what it asks for itself is not another site's any more, but for the name.
  const spent = await page.evaluate(
    async ({ key, text }) => {
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
      const answer = await fetch('/v1/chat/completions', { method: 'POST', headers, body: text });
      return answer.status;
    },
    { key: secret, text: body },
  );
  expect(spent).toBe(403);
  const api = new URL(gateway.apiUrl);
  const contract = await page.goto(`http://attacker.rebound.test:${api.port}/`);
  expect(contract?.status()).toBe(403);
  expect(upstream.requests).toEqual([]);
  tell(3, [response?.status(), spent, contract?.status()].filter((status) => status === 403).length);
});

test('the contract answers no page of another origin, even with its token', async ({ page, gateway }) => {
  const hostile = await startHostilePage();
  try {
    await page.goto(hostile.url);
    const outcome = await page.evaluate(
      async ({ url, token }) => {
        const text = JSON.stringify({ name: 'keys.create', input: { name: 'planted' } });
        const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
        const attempts = [
          fetch(url, { method: 'POST', headers, body: text }),
          fetch(url, { method: 'POST', mode: 'no-cors', body: text }),
        ];
        return (await Promise.allSettled(attempts)).map((attempt) =>
          attempt.status === 'fulfilled' ? attempt.value.type : 'refused',
        );
      },
      { url: `${gateway.apiUrl}/call`, token: gateway.token },
    );
    // Its resource policy keeps even the unreadable answer from the page.
    expect(outcome).toEqual(['refused', 'refused']);
    expect(await gateway.call('keys.list', {})).toEqual([]);
    tell(outcome.length, outcome.filter((each) => each === 'refused').length);
  } finally {
    await hostile.close();
  }
});

function tell(tried: number, refused: number): void {
  console.log(`A page of another origin: ${tried} ways tried, ${refused} refused`);
}

async function startHostilePage(): Promise<{ url: string; close: () => Promise<void> }> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>Hostile</title><p>Hello</p>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the hostile page does not listen');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
