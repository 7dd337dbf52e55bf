import { expect } from 'chai';
import { Admission } from '../../src/api/admission.ts';
import { refusalOf } from '../support/refusals.ts';

const unsaturated = { limit: () => Number.POSITIVE_INFINITY, answered: () => undefined };

describe('Admission', () => {
  it('gives as many permits as there are, and each again once it is back', () => {
    const admission = new Admission(2, unsaturated);
    const first = admission.admit('', 0);
    admission.admit('', 0);
    expect(refusalOf(() => admission.admit('', 0), 'service_unavailable').retryAfterS).to.equal(1);
    first.release();
    admission.admit('', 0);
    expect(admission.inFlight).to.equal(2);
  });

  it('gives no more than the saturated process can bear, and tells it of each that is over', () => {
    let answered = 0;
    const admission = new Admission(10, { limit: () => 1, answered: () => (answered += 1) });
    const permit = admission.admit('', 0);
    expect(refusalOf(() => admission.admit('', 0), 'service_unavailable').retryAfterS).to.equal(1);
    permit.release();
    admission.admit('', 0);
    expect(answered).to.equal(1);
  });

  it('gives each model its share in a saturated process: a flood of one leaves room for another', () => {
    const admission = new Admission(100, { limit: () => 4, answered: () => undefined });
    for (let n = 0; n < 4; n += 1) admission.admit('flooded', 0);
    refusalOf(() => admission.admit('flooded', 0), 'service_unavailable');
    admission.admit('other', 0);
    const second = admission.admit('other', 0);
    refusalOf(() => admission.admit('other', 0), 'service_unavailable');
    refusalOf(() => admission.admit('flooded', 0), 'service_unavailable');
    second.release();
    admission.admit('other', 0);
  });

  it('knows a permit that comes back twice for a bug', () => {
    const admission = new Admission(1, unsaturated);
    const permit = admission.admit('', 0);
    permit.release();
    expect(() => permit.release()).to.throw(RangeError);
    expect(admission.inFlight).to.equal(0);
  });
});
