import { expect } from 'chai';
import { Admission } from '../../src/api/admission.ts';
import { refusalOf } from '../support/refusals.ts';

describe('Admission', () => {
  it('gives as many permits as there are, and each again once it is back', () => {
    const admission = new Admission(2);
    const first = admission.admit();
    admission.admit();
    expect(refusalOf(() => admission.admit(), 'service_unavailable').retryAfterS).to.equal(1);
    first.release();
    admission.admit();
    expect(admission.inFlight).to.equal(2);
  });

  it('knows a permit that comes back twice for a bug', () => {
    const admission = new Admission(1);
    const permit = admission.admit();
    permit.release();
    expect(() => permit.release()).to.throw(RangeError);
    expect(admission.inFlight).to.equal(0);
  });
});
