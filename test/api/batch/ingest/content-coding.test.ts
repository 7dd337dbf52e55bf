import { expect } from 'chai';
import { gzipSync } from 'node:zlib';
import { bounded, gunzipped } from '../../../../src/api/batch/ingest/content-coding.ts';
import { MillraceError } from '../../../../src/errors.ts';
import { cut, stream } from '../support/pieces.ts';

async function gather(bytes: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

const text = Array.from({ length: 20_000 }, (_, line) => `[${line}]`).join('\n');

describe('content codings', () => {
  it('give back what was compressed, in one or several members, however cut', async () => {
    const packed = gzipSync(text);
    expect(await gather(gunzipped(stream(cut(packed, [1, 2, 1000, 5000]))))).to.equal(text);
    expect(await gather(gunzipped(stream([Buffer.concat([packed, gzipSync('more')])])))).to.equal(
      `${text}more`,
    );
  });

  it('refuse what is not gzip, or ends too early', async () => {
    for (const bytes of [
      Buffer.from('nope'),
      gzipSync(text).subarray(0, 500),
      gzipSync(text).subarray(0, -4),
    ])
      expect(await gather(gunzipped(stream([bytes]))).catch((error: Error) => error.message)).to.equal(
        'The body is not valid gzip',
      );
  });

  it('pass on what the body itself failed with', async () => {
    const failure = new MillraceError('request_timeout', 'The upload is too slow');
    async function* failing(): AsyncGenerator<Buffer> {
      yield gzipSync(text).subarray(0, 500);
      throw failure;
    }
    expect(await gather(gunzipped(failing())).catch((error: unknown) => error)).to.equal(failure);
  });

  it('are expanded no further than somebody reads', async () => {
    const one = gzipSync(Buffer.alloc(16 << 20));
    const bomb = Buffer.concat(Array.from({ length: 32 }, () => one));
    let taken = 0;
    const asked = async function* (): AsyncGenerator<Buffer> {
      for (let at = 0; at < bomb.byteLength; at += 1024) {
        taken += 1024;
        yield bomb.subarray(at, at + 1024);
      }
    };
    const error = await gather(bounded(gunzipped(asked()), 1 << 20)).catch((thrown: unknown) => thrown);
    expect(error).to.include({ code: 'payload_too_large' });
    expect(taken).to.be.lessThan(bomb.byteLength / 2);
  });

  it('leave a body of just the length alone', async () => {
    expect(await gather(bounded(stream([Buffer.from('12345'), Buffer.from('67890')]), 10))).to.equal(
      '1234567890',
    );
    const longer = bounded(stream([Buffer.from('12345'), Buffer.from('678901')]), 10);
    expect(await gather(longer).catch((error: Error) => error.message)).to.match(/too large/);
  });
});
