import { expect } from 'chai';
import { errorAnswer, statusByCode } from '../../../src/api/http/error-handler.ts';
import { Refusal } from '../../../src/api/http/refusal.ts';
import { errorCatalogue, MillraceError } from '../../../src/errors.ts';
import type { ErrorCode } from '../../../src/errors.ts';

function headersOf(error: unknown): ReadonlyMap<string, string> {
  const { headers } = errorAnswer(error, 'req_1');
  return new Map(
    Array.from({ length: headers.length / 2 }, (_, i) => [headers[2 * i]!, headers[2 * i + 1]!]),
  );
}

function retryAfter(code: ErrorCode, retryAfterS?: number): string | undefined {
  const options = retryAfterS === undefined ? {} : { retryAfterS };
  return headersOf(new MillraceError(code, undefined, options)).get('Retry-After');
}

describe('error handler', () => {
  it('has a status of its own for every code', () => {
    const statuses = Object.values(statusByCode);
    expect(Object.keys(statusByCode)).to.have.members(Object.keys(errorCatalogue));
    expect(new Set(statuses).size).to.equal(statuses.length);
    for (const status of statuses) expect(status).to.be.within(400, 599);
  });

  it('writes the envelope', () => {
    const details = [{ path: 'inputs[3]', expected: 'a number', found: 'a string' }];
    const answer = errorAnswer(new MillraceError('invalid_input', 'No', { details }), 'req_1');
    expect(answer.status).to.equal(400);
    expect(JSON.parse(answer.body as string)).to.deep.equal({
      error: { code: 'invalid_input', message: 'No', details, request_id: 'req_1' },
    });
  });

  it('shows nothing of a stranger, a cause or a dependency', () => {
    const secret = 'ENOENT: /srv/keys.db mlr_live_secret';
    const thrown: readonly unknown[] = [
      new Error(secret),
      secret,
      null,
      undefined,
      { message: secret },
      new MillraceError('internal_error', secret, { details: secret, cause: new Error(secret) }),
      new MillraceError('bad_gateway', secret, { details: { secret } }),
      new MillraceError('service_unavailable', 'The queue is out of reach', { cause: new Error(secret) }),
    ];
    for (const each of thrown) {
      const { status, body, headers } = errorAnswer(each, 'req_1');
      expect(status).to.be.at.least(500);
      expect(body).to.not.include('ENOENT').and.not.include('mlr_live');
      expect(headers.join()).to.not.include('ENOENT');
    }
  });

  it('says when to come again on 503: whole seconds, at least one, spread', () => {
    const seconds = Array.from({ length: 200 }, () => retryAfter('service_unavailable', 10));
    expect(retryAfter('service_unavailable')).to.match(/^[12]$/);
    expect(Math.min(...seconds.map(Number))).to.be.at.least(10);
    expect(Math.max(...seconds.map(Number))).to.be.at.most(15);
    expect(new Set(seconds).size).to.be.at.least(3);
  });

  it('says on 429 what the limit says', () => {
    expect(retryAfter('rate_limit_exceeded')).to.equal('1');
    expect(retryAfter('rate_limit_exceeded', 10)).to.equal('10');
    expect(headersOf(new MillraceError('timeout')).has('Retry-After')).to.equal(false);
  });

  it('names both ways in on 401 only', () => {
    expect(headersOf(new MillraceError('unauthorized')).get('WWW-Authenticate')).to.match(/ApiKey.+Bearer/);
    expect(headersOf(new MillraceError('forbidden')).has('WWW-Authenticate')).to.equal(false);
  });

  it('adds the headers that a refusal brings', () => {
    const refusal = new Refusal('method_not_allowed', 'No', { headers: ['Allow', 'GET'] });
    expect(headersOf(refusal).get('Allow')).to.equal('GET');
  });
});
