import { expect } from 'chai';
import { Fingerprint } from '../../../src/api/idempotency/fingerprint.ts';

function fingerprintOf(method: string, url: string, ...chunks: readonly string[]): string {
  const fingerprint = new Fingerprint(method, url);
  for (const chunk of chunks) fingerprint.add(chunk);
  return `${fingerprint.target} ${fingerprint.end().body}`;
}

describe('the fingerprint of a request', () => {
  it('is the same for the same bytes, however they come', () => {
    const whole = fingerprintOf('POST', '/api/v1/batch?top_k=1', '{"inputs":[1]}\n');
    expect(fingerprintOf('POST', '/api/v1/batch?top_k=1', '{"inp', 'uts":[1]}', '', '\n')).to.equal(whole);
  });

  it('differs with method, path, query and body', () => {
    const all = [
      ['POST', '/a', 'x'],
      ['PUT', '/a', 'x'],
      ['POST', '/b', 'x'],
      ['POST', '/a?', 'x'],
      ['POST', '/a?b=1', 'x'],
      ['POST', '/a', 'y'],
      ['POST', '/a', ''],
    ].map(([method = '', url = '', body = '']) => fingerprintOf(method, url, body));
    expect(new Set(all).size).to.equal(all.length);
  });

  it('has no body until its end', () => {
    const fingerprint = new Fingerprint('POST', '/');
    fingerprint.add('x');
    expect(fingerprint.body).to.equal(undefined);
    expect(fingerprint.end().body).to.match(/^[\w-]{43}$/);
  });
});
