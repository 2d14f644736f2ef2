import { describe, expect, it } from 'vitest';
import { Refusal, refusals, type RefusalCode } from '#shared/errors.ts';
import { dialectIds, type DialectId } from '#shared/model.ts';
import { dialects } from '../../../electron/gateway/dialects/index.ts';

const sentence = 'Spend limit reached for key "dev": $5.02 of $5.00. Raise it in Faregate.';

function refuse(id: DialectId, code: RefusalCode, headers: Record<string, string> = {}, retryAfter?: number) {
  const refusal = new Refusal(code, sentence, retryAfter === undefined ? {} : { retryAfter });
  const refused = dialects[id].refusal(refusal, { id: 'req_1', headers });
  return { ...refused, body: JSON.parse(refused.body) as unknown };
}

const openaiHeaders = {
  'content-type': 'application/json',
  'x-request-id': 'req_1',
  'x-should-retry': 'false',
};

describe('the limit is reached', () => {
  it.each(['openai-chat', 'openai-completions', 'openai-responses', 'openai-embeddings'] as const)(
    'in %s',
    (id) => {
      expect(refuse(id, 'limit_reached')).toEqual({
        status: 402,
        headers: openaiHeaders,
        body: {
          error: {
            message: sentence,
            type: 'invalid_request_error',
            param: null,
            code: 'insufficient_quota',
          },
        },
      });
    },
  );

  it('in Messages', () => {
    expect(refuse('anthropic-messages', 'limit_reached')).toEqual({
      status: 402,
      headers: { 'content-type': 'application/json', 'request-id': 'req_1', 'x-should-retry': 'false' },
      body: {
        type: 'error',
        error: {
          type: 'billing_error',
          message: sentence,
          details: { error_code: 'key_spend_limit_reached' },
        },
        request_id: 'req_1',
      },
    });
  });

  it.each(['gemini', 'gemini-embeddings'] as const)('in %s', (id) => {
    expect(refuse(id, 'limit_reached')).toEqual({
      status: 402,
      headers: openaiHeaders,
      body: {
        error: {
          code: 402,
          message: sentence,
          status: 'FAILED_PRECONDITION',
          details: [
            {
              '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
              reason: 'KEY_SPEND_LIMIT_REACHED',
              domain: 'faregate',
            },
          ],
        },
      },
    });
  });

  it.each([{ originator: 'codex_exec' }, { originator: 'codex-tui' }, { 'user-agent': 'codex_cli_rs/0.1' }])(
    'for Codex (%o)',
    (headers) => {
      for (const code of ['limit_reached', 'not_enough_left'] as const) {
        expect(refuse('openai-responses', code, headers)).toEqual({
          status: 429,
          headers: { ...openaiHeaders, 'x-codex-promo-message': sentence.slice(0, -1) },
          body: {
            error: {
              message: sentence,
              type: 'usage_limit_reached',
              param: null,
              code: 'insufficient_quota',
            },
          },
        });
      }
      expect(refuse('openai-responses', 'ledger_unavailable', headers).status).toBe(400);
      for (const code of ['invalid_key', 'no_provider', 'credential_missing', 'stopped'] as const)
        expect(refuse('openai-responses', code, headers)).toMatchObject({
          status: 400,
          body: { error: { message: sentence } },
        });
      // What will pass is tried again.
      expect(refuse('openai-responses', 'held_by_others', headers).status).toBe(429);
      expect(refuse('openai-responses', 'upstream_unreachable', headers).status).toBe(502);
      expect(refuse('openai-chat', 'limit_reached', headers).status).toBe(402);
    },
  );
});

it('for good is a 402 for Claude Code, which tries a 400 again and hides a 404', () => {
  const headers = { 'user-agent': 'claude-cli/2.1.330 (external, sdk-cli)' };
  for (const code of ['unpriced_model', 'not_metered', 'no_provider'] as const) {
    expect(refuse('anthropic-messages', code, headers)).toMatchObject({
      status: 402,
      body: { error: { type: 'billing_error', message: sentence } },
    });
    expect(refuse('anthropic-messages', code).status).toBe(refusals[code].status);
  }
  expect(refuse('anthropic-messages', 'invalid_key', headers).status).toBe(401);
});

describe('a refusal', () => {
  it.each(
    dialectIds.flatMap((id) => Object.keys(refusals).map((code) => [id, code as RefusalCode] as const)),
  )('in %s of %s says whether to try again, and only then when', (id, code) => {
    const { status, headers, body } = refuse(id, code, {}, 2.2);
    expect(status).toBe(refusals[code].status);
    expect(headers['x-should-retry']).toBe(refusals[code].retry ? undefined : 'false');
    expect(headers['retry-after']).toBe(refusals[code].retry ? '3' : undefined);
    expect(JSON.stringify(body)).toContain(JSON.stringify(sentence));
    expect(JSON.stringify(body)).not.toContain('overloaded');
  });

  it('of an unknown key has the shape that each SDK knows', () => {
    expect(refuse('openai-chat', 'invalid_key').body).toMatchObject({
      error: { type: 'invalid_request_error', code: 'invalid_api_key' },
    });
    expect(refuse('anthropic-messages', 'invalid_key').body).toMatchObject({
      error: { type: 'authentication_error' },
    });
    expect(refuse('gemini', 'invalid_key').body).toMatchObject({
      error: { code: 401, status: 'UNAUTHENTICATED' },
    });
  });

  it('says nothing of when to try again where nobody knows', () => {
    expect(refuse('openai-chat', 'held_by_others').headers).not.toHaveProperty('retry-after');
  });

  it('has headers of printable ASCII whatever the key is called', () => {
    const refusal = new Refusal('limit_reached', 'Limit of “clé – 鍵”\r\nx-evil: 1 reached.');
    const { headers } = dialects['openai-responses'].refusal(refusal, {
      id: 'a\nb',
      headers: { originator: 'codex_exec' },
    });
    for (const value of Object.values(headers)) expect(value).toMatch(/^[\x20-\x7e]+$/);
    expect(headers['x-codex-promo-message']).toBe('Limit of "cle - ?"?x-evil: 1 reached');
  });
});
