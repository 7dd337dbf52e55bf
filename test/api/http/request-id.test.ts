import { expect } from 'chai';
import { nextSerial, requestIdOf } from '../../../src/api/http/request-id.ts';

describe('request ids', () => {
  it("takes the caller's own where it is safe", () => {
    for (const id of ['a', 'A.b_c-9', 'x'.repeat(64)]) expect(requestIdOf(id, 's')).to.equal(id);
  });

  it('makes one of ours for what is missing, too long or unsafe', () => {
    for (const id of [undefined, '', 'x'.repeat(65), 'a b', 'a\nb', '../a', 'é', 'a,b', '\u001b[31m'])
      expect(requestIdOf(id, 'serial')).to.equal('req_serial');
  });

  it('never makes the same twice', () => {
    const serials = Array.from({ length: 1000 }, nextSerial);
    expect(new Set(serials).size).to.equal(1000);
    for (const serial of serials) expect(serial).to.match(/^[0-9a-z]{17,24}$/);
  });
});
