import { expect } from 'chai';
import { UploadMemory } from '../../../src/api/batch/held-bytes.ts';
import { refusalOf } from '../../support/refusals.ts';

describe('memory of uploads', () => {
  it('is counted over all of them, and given back', () => {
    const memory = new UploadMemory(100);
    const [one, two] = [memory.hold(), memory.hold()];
    one.set(60);
    two.set(30);
    one.set(70);
    expect(memory.bytes).to.equal(100);
    one.set(10);
    expect(memory.bytes).to.equal(40);
    one.release();
    two.release();
    expect(memory.bytes).to.equal(0);
  });

  it('is refused beyond the bound to whoever asks for more, and to nobody else', () => {
    const memory = new UploadMemory(100);
    const [one, two] = [memory.hold(), memory.hold()];
    one.set(60);
    expect(refusalOf(() => two.set(41), 'service_unavailable').retryAfterS).to.equal(1);
    expect(memory.bytes).to.equal(60);
    one.set(50);
    two.set(41);
    expect(memory.bytes).to.equal(91);
  });
});
