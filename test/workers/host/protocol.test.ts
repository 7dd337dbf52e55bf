import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { encodeHead, FrameDecoder } from '../../../src/workers/host/frames.ts';
import type {
  ControlRequest,
  ControlResponse,
  DataRequest,
  DataResponse,
} from '../../../src/workers/host/protocol.ts';
import { encodeTensors } from '../../../src/tensors/binary-codec.ts';
import { tensor } from '../../support/builders.ts';

type Message = ControlRequest | ControlResponse | DataRequest | DataResponse;

const key = 'wine/v1.2.3@9f86d081';
const digest = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';
const input = { name: 'x', datatype: 'FP32', shape: [-1, 2] } as const;
const output = { name: 'y', datatype: 'FP32', shape: [-1] } as const;

/** One of each variant; the type says that none is missing. */
const messages: { readonly [Type in Message['type']]: Extract<Message, { type: Type }> } = {
  load: { type: 'load', id: 1, key, path: '/srv/artifacts/9f86d081', digest, intraOpThreads: 2 },
  unload: { type: 'unload', id: 2, key },
  stop: { type: 'stop' },
  ready: { type: 'ready', protocolVersion: 1, pid: 4711 },
  loaded: {
    type: 'loaded',
    id: 1,
    key,
    inputs: [input],
    outputs: [output],
    loadMs: 12.5,
    rssBytes: 52428800,
  },
  unloaded: { type: 'unloaded', id: 2, key, rssBytes: 41943040 },
  failed: { type: 'failed', id: 1, error: { code: 'bad_gateway', message: 'The artifact cannot be read' } },
  run: { type: 'run', id: 3, key, outputs: ['y'] },
  ran: { type: 'ran', id: 3, runMs: 0.25 },
  run_failed: {
    type: 'run_failed',
    id: 3,
    error: { code: 'invalid_input', message: 'The model refused the input: out of bounds' },
  },
};

const bodies: Partial<Record<Message['type'], Uint8Array>> = {
  run: encodeTensors(new Map([['x', tensor('FP32', [1, 2], [1.5, -2])]])),
  ran: encodeTensors(new Map([['y', tensor('FP32', [1], [3.25])]])),
};

/** Hexadecimal, 32 bytes a line: a change of the wire shows as a diff. */
function golden(type: string): string {
  return readFileSync(new URL(`golden/${type}.hex`, import.meta.url), 'utf8').replaceAll('\n', '');
}

describe('host protocol', () => {
  for (const [type, message] of Object.entries(messages)) {
    it(`${type} is on the wire as its golden file says`, () => {
      const body = bodies[message.type] ?? new Uint8Array();
      const bytes = Buffer.concat([encodeHead(message, [body]), body]);
      expect(bytes.toString('hex')).to.equal(golden(type));
      const [frame] = new FrameDecoder().push(bytes);
      expect(frame?.header).to.deep.equal(message);
    });
  }
});
