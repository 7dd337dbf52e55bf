import { expect } from 'chai';
import { HeldBlocks } from '../../../../src/api/batch/ingest/held-blocks.ts';

/** One element in a buffer of a capacity of its own, as a scanner gives it when the pieces of a body are small. */
function blockOf(text: string, capacity: number) {
  const bytes = Buffer.alloc(capacity).subarray(0, text.length + 1);
  bytes.write(`,${text}`);
  return { bytes, ranges: [1, text.length + 1] };
}

describe('blocks that are held', () => {
  it('take little more memory than their elements, in whatever pieces these came', () => {
    const held = new HeldBlocks();
    for (let index = 0; index < 30_000; index += 1) held.add(blockOf(`[${index}]`, 4096));
    const blocks = [...held.take()];
    const capacity = blocks.reduce((sum, { bytes }) => sum + bytes.buffer.byteLength, 0);
    expect(blocks.length).to.be.below(10);
    expect(capacity).to.be.below(1_000_000);
  });

  it('give their elements in order, small and large, and count what they hold', () => {
    const held = new HeldBlocks();
    const texts = ['[1]', 'x'.repeat(20_000), '[22]', '{}', 'y'.repeat(70_000), '[3]'];
    for (const text of texts) held.add(blockOf(text, text.length + 10));
    held.add({ bytes: Buffer.from('  '), ranges: [] });
    expect(held.bytes).to.be.within(90_000, 100_000);
    const found = [...held.take()].flatMap(({ bytes, ranges }) =>
      ranges.flatMap((from, index) =>
        index % 2 === 0 ? [bytes.toString('latin1', from, ranges[index + 1])] : [],
      ),
    );
    expect(found).to.deep.equal(texts);
    expect(held.bytes).to.equal(0);
  });
});
