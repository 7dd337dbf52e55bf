import type { ErrorCode } from '../../../src/errors.ts';
import {
  buildVersion,
  penguinsVersion,
  regressionVersion,
  spec,
  wineVersion,
} from '../../support/builders.ts';
import type { ModelVersion } from '../../../src/registry/model-version.ts';
import type { Datatype } from '../../../src/tensors/datatype.ts';
import type { RawOptions } from '../support/raw-client.ts';

/** One kind of bad input: the bytes of a request, and what must be answered. */
export interface BadCase {
  readonly name: string;
  /** `key` is an API key with all scopes. */
  readonly bytes: (key: string) => string | Uint8Array;
  readonly status: number;
  readonly code: ErrorCode;
  /** What `details` must name: a path in it, or a piece of it where it is a sentence. */
  readonly place: string;
  readonly options?: RawOptions;
  /** Headers that the answer must have. */
  readonly headers?: Readonly<Record<string, string | RegExp>>;
}

export interface Post {
  readonly path?: string;
  readonly body?: string | Uint8Array;
  /** Over Host, X-API-Key, Content-Type and Content-Length; null leaves one out. */
  readonly headers?: Readonly<Record<string, string | null>>;
  readonly requestLine?: string;
  /** Header lines as they are, after the others. */
  readonly lines?: readonly string[];
}

export const goodBody = '{"inputs":[1.5,2.0,3.1,4.2,5.0]}';

/** A predict request, right in everything that is not given. */
export function post(request: Post): BadCase['bytes'] {
  const { path = '/api/v1/predict', body = goodBody, headers = {}, lines = [] } = request;
  return (key) => {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const fields = {
      Host: 'localhost',
      'X-API-Key': key,
      'Content-Type': 'application/json',
      'Content-Length': String(bytes.byteLength),
      ...headers,
    };
    const given = Object.entries(fields).filter(([, value]) => value !== null);
    const head = [
      request.requestLine ?? `POST ${path} HTTP/1.1`,
      ...given.map(([name, value]) => `${name}: ${value}`),
      ...lines,
    ];
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
  };
}

/** A body that the model `model` must refuse at `place`. */
export function badBody(name: string, model: string, body: unknown, place: string): BadCase {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    name: `${model}: ${name}`,
    bytes: post({ path: `/api/v1/models/${model}/predict`, body: text }),
    status: 400,
    code: 'invalid_input',
    place,
  };
}

const elementDatatypes: readonly Datatype[] = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
];

/** Three elements in, the same out: `fp32`, `int64`, … */
function echoVersion(datatype: Datatype): ModelVersion {
  const model = datatype.toLowerCase();
  return buildVersion({
    model,
    inputs: [spec('x', datatype, [-1, 3])],
    outputs: [spec('y', datatype, [-1, 3])],
  });
}

/** What the API under test serves. */
export const badInputVersions: readonly ModelVersion[] = [
  wineVersion(),
  penguinsVersion(),
  regressionVersion(),
  ...elementDatatypes.map(echoVersion),
  buildVersion({
    model: 'two',
    inputs: [spec('a', 'FP32', [-1, 2]), spec('b', 'INT64', [-1, 1])],
    outputs: [spec('sum', 'FP32', [-1, 2]), spec('twice', 'INT64', [-1, 1])],
  }),
  buildVersion({ model: 'rank-3', inputs: [spec('x', 'FP32', [-1, 2, 3])] }),
  buildVersion({ model: 'open', inputs: [spec('x', 'FP32', [-1, -1])] }),
  buildVersion({ model: 'scalar', inputs: [spec('x', 'FP32', [-1])] }),
  buildVersion({
    model: 'island',
    manifest: {
      features: [
        { name: 'island', one_hot: ['Biscoe', 'Dream'] },
        { name: 'mass', missing: 1 },
      ],
    },
    inputs: [spec('x', 'FP32', [-1, 3])],
  }),
];
