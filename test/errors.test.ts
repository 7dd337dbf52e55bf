import { expect } from 'chai';
import {
  MillraceError,
  errorCatalogue,
  fromErrorRecord,
  toErrorRecord,
  toMillraceError,
} from '../src/errors.ts';
import type { ErrorCode, ErrorRecord } from '../src/errors.ts';

describe('errors', () => {
  for (const code of Object.keys(errorCatalogue) as ErrorCode[])
    it(`carries ${code} across a process as a plain record`, () => {
      const error = new MillraceError(code, 'what happened', {
        details: [{ path: 'a[0]', expected: 'b', found: 'c' }],
      });
      const record = JSON.parse(JSON.stringify(toErrorRecord(error))) as ErrorRecord;
      const rebuilt = fromErrorRecord(record);
      expect(rebuilt).to.include({
        code,
        message: 'what happened',
        retryable: errorCatalogue[code].retryable,
      });
      expect(rebuilt.details).to.deep.equal(error.details);
    });

  it('says what the catalogue says when it is given no words', () => {
    expect(new MillraceError('not_found').message).to.equal(errorCatalogue.not_found.message);
  });

  it('hides a stranger behind internal_error and keeps it for the log', () => {
    const stranger = new TypeError('password is hunter2');
    const error = toMillraceError(stranger);
    expect(error.code).to.equal('internal_error');
    expect(error.cause).to.equal(stranger);
    expect(JSON.stringify(toErrorRecord(stranger))).to.not.include('hunter2');
  });

  it('lets its own pass unchanged', () => {
    const error = new MillraceError('timeout');
    expect(toMillraceError(error)).to.equal(error);
  });

  it('keeps cause and retry time out of the record', () => {
    const error = new MillraceError('service_unavailable', 'later', {
      cause: new Error('secret'),
      retryAfterS: 3,
    });
    expect(toErrorRecord(error)).to.deep.equal({ code: 'service_unavailable', message: 'later' });
  });

  for (const code of ['no_such_code', 'toString', '__proto__'])
    it(`takes the unknown code ${code} of another version for internal_error`, () => {
      expect(fromErrorRecord({ code: code as ErrorCode, message: 'new' }).code).to.equal('internal_error');
    });

  it('takes nothing else for one of its own', () => {
    for (const stranger of [undefined, null, 'text', 5, {}, new Error('plain')])
      expect(MillraceError.is(stranger)).to.equal(false);
  });
});
