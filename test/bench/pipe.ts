/**
 * The floor: the least that node:http and undici need to pass a request on. The body is buffered, since whoever meters
 * has to see it; nothing is looked at, nothing is recorded.
 *
 * Run as a child process with the provider's port as its argument; its own port is its first message.
 */
import { createServer } from 'node:http';
import { Agent } from 'undici';

const origin = `http://127.0.0.1:${process.argv[2] ?? ''}`;
const agent = new Agent({ pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
const OWN = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'authorization']);

const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const [first] = chunks;
    const headers: string[] = [];
    for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
      const name = request.rawHeaders[index] ?? '';
      if (!OWN.has(name.toLowerCase())) headers.push(name, request.rawHeaders[index + 1] ?? '');
    }
    let pause = () => {};
    agent.dispatch(
      {
        origin,
        path: request.url ?? '/',
        method: 'POST',
        headers,
        body: chunks.length === 1 && first ? first : Buffer.concat(chunks),
      },
      {
        onRequestStart(controller) {
          pause = () => controller.pause();
          response.on('drain', () => controller.resume());
          response.on('close', () => {
            if (!response.writableFinished) controller.abort(new Error('the client has gone'));
          });
        },
        onResponseStart(controller, status) {
          const raw = Array.isArray(controller.rawHeaders) ? controller.rawHeaders : [];
          const passed: string[] = [];
          for (let index = 0; index + 1 < raw.length; index += 2) {
            const name = String(raw[index]);
            if (name.toLowerCase() !== 'transfer-encoding') passed.push(name, String(raw[index + 1]));
          }
          response.writeHead(status, passed);
        },
        onResponseData(_controller, chunk) {
          if (!response.write(chunk)) pause();
        },
        onResponseEnd: () => void response.end(),
        onResponseError: () => void response.destroy(),
      },
    );
  });
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 8192 }, () => {
  const address = server.address();
  if (typeof address === 'object' && address !== null) process.send?.({ port: address.port });
});
process.on('disconnect', () => process.exit(0));
