import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import { encodeHead, FrameDecoder, frameBytesMax, writeFrame } from '../../../src/workers/host/frames.ts';
import type { Frame } from '../../../src/workers/host/frames.ts';

const anyFrame = fc.record({
  header: fc.record({ type: fc.string(), id: fc.nat(), text: fc.string({ unit: 'grapheme' }) }),
  parts: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 3 }),
});

function toBytes(header: object, parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([encodeHead(header, parts), ...parts]);
}

function decodeInChunks(bytes: Buffer, chunkLengths: readonly number[]): readonly Frame[] {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const length = chunkLengths[turn % chunkLengths.length] ?? bytes.length;
    // Each chunk in memory of its own, as the system gives them.
    frames.push(...decoder.push(Buffer.from(bytes.subarray(at, at + length))));
    at += length;
  }
  expect(decoder.idle).to.equal(true);
  return frames;
}

describe('frames', () => {
  it('come out as they went in, however the stream is cut', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 6 }), cuts, (sent, chunkLengths) => {
        const bytes = Buffer.concat(sent.map(({ header, parts }) => toBytes(header, parts)));
        const received = decodeInChunks(bytes, chunkLengths);
        expect(received.map(({ header }) => header)).to.deep.equal(sent.map(({ header }) => header));
        for (const [index, { parts }] of sent.entries())
          expect(Buffer.compare(received[index]?.body as Uint8Array, Buffer.concat(parts))).to.equal(0);
      }),
    );
  });

  it('never yield more than was sent when bytes are damaged', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 64 }), (bytes, cut) => {
        const decoder = new FrameDecoder();
        try {
          for (let at = 0; at < bytes.length; at += cut)
            for (const { body } of decoder.push(Buffer.from(bytes.subarray(at, at + cut))))
              expect(body.byteLength).to.be.at.most(bytes.length);
        } catch (error) {
          expect(error).to.satisfy(
            (known: unknown) => known instanceof RangeError || known instanceof SyntaxError,
          );
        }
      }),
    );
  });

  it('have their body at a multiple of eight', () => {
    for (let padding = 0; padding < 16; padding += 1) {
      const bytes = toBytes({ pad: 'x'.repeat(padding) }, [Uint8Array.of(1)]);
      expect((bytes.length - 1) % 8).to.equal(0);
    }
  });

  it('give the body as a view on the chunk that holds the whole frame', () => {
    const chunk = toBytes({ type: 'run' }, [Uint8Array.of(1, 2, 3)]);
    const [frame] = new FrameDecoder().push(chunk);
    expect(frame?.body.buffer).to.equal(chunk.buffer);
  });

  it('copy each byte of a long frame once, into memory of its size', () => {
    const body = Buffer.alloc(300_000, 7);
    const bytes = toBytes({ type: 'run' }, [body]);
    const decoder = new FrameDecoder();
    const frames = [];
    for (let at = 0; at < bytes.length; at += 65_536)
      frames.push(...decoder.push(bytes.subarray(at, at + 65_536)));
    expect(frames).to.have.length(1);
    expect(frames[0]?.body.buffer.byteLength).to.equal(bytes.length);
    expect(frames[0]?.body.byteOffset).to.satisfy((offset: number) => offset % 8 === 0);
  });

  it('longer than the bound are refused on both sides', () => {
    const prefix = Buffer.alloc(8);
    prefix.writeUInt32LE(frameBytesMax + 1, 0);
    prefix.writeUInt32LE(8, 4);
    expect(() => new FrameDecoder().push(prefix)).to.throw(RangeError, 'not a frame');
    const part = new Uint8Array(frameBytesMax / 2);
    expect(() => encodeHead({}, [part, part])).to.throw(RangeError, 'longer than');
  });

  it('whose header claims more than the frame, or nothing, are refused', () => {
    for (const [total, header] of [
      [16, 9],
      [16, 0],
      [4, 2],
    ] as const) {
      const prefix = Buffer.alloc(16);
      prefix.writeUInt32LE(total, 0);
      prefix.writeUInt32LE(header, 4);
      expect(() => new FrameDecoder().push(prefix)).to.throw(RangeError, 'not a frame');
    }
  });

  it('are written without copying the body', () => {
    const body = Uint8Array.of(1, 2, 3);
    const stream = new PassThrough({ objectMode: true });
    writeFrame(stream, { type: 'run' }, [body]);
    expect(stream.read()).to.be.instanceOf(Buffer);
    expect(stream.read()).to.equal(body);
  });
});
