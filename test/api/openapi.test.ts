import { expect } from 'chai';
import { statusByCode } from '../../src/api/http/error-handler.ts';
import { openApiDocument } from '../../src/api/openapi/document.ts';
import type { MediaType, Operation, Reference, Response as Described } from '../../src/api/openapi/types.ts';
import { errorCatalogue } from '../../src/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { compile } from '../../src/validation.ts';
import type { SchemaObject } from '../../src/validation.ts';
import { useBatchRig } from './batch/support/batch-rig.ts';
import type { TestRequest } from './support/test-api.ts';

const document = openApiDocument({ version: '1.2.3', timeoutMsMax: 60_000 });
const { schemas, responses } = document.components;

/** `#/components/…` of OpenAPI as `#/$defs/…` of one schema that holds them all. */
function moved<T>(value: T): T {
  return JSON.parse(JSON.stringify(value).replaceAll('#/components/schemas/', '#/$defs/')) as T;
}

function problems(schema: SchemaObject, value: unknown): unknown {
  const checked = compile({ ...moved(schema), $defs: moved(schemas) } as SchemaObject)(value);
  return checked.valid ? [] : checked.places;
}

function resolved(response: Described | Reference): Described {
  if (!('$ref' in response)) return response;
  return responses[response.$ref.split('/').at(-1)!]!;
}

function operations(): {
  readonly method: string;
  readonly template: string;
  readonly operation: Operation;
}[] {
  return Object.keys(document.paths).flatMap((template) =>
    methods.flatMap((method) => {
      const operation = operationOf(method, template);
      return operation === undefined ? [] : [{ method, template, operation }];
    }),
  );
}

const methods = ['GET', 'POST', 'DELETE'] as const;

function operationOf(method: string, template: string): Operation | undefined {
  return document.paths[template]?.[method.toLowerCase() as 'get' | 'post' | 'delete'];
}

/** The scope that a call needs, as routes have it. */
function scopeOf({ security: [first] }: Operation): string {
  return first === undefined ? 'public' : (first['apiKey']?.[0] ?? 'any');
}

function mediaTypes(): MediaType[] {
  const bodies = operations().flatMap(({ operation }) => [
    ...Object.values(operation.requestBody?.content ?? {}),
    ...Object.values(operation.responses).flatMap((response) =>
      Object.values(resolved(response).content ?? {}),
    ),
  ]);
  return [...bodies, ...Object.values(responses).flatMap(({ content }) => Object.values(content ?? {}))];
}

describe('OpenAPI document', () => {
  const rig = useBatchRig();
  const api = () => rig().api;

  it('has exactly the routes of the table, with their scopes', () => {
    const described = operations().map(
      ({ method, template, operation }) => `${method} ${template} ${scopeOf(operation)}`,
    );
    const routed = api().table.routes.map(({ method, template, scope }) => `${method} ${template} ${scope}`);
    expect(described).to.have.members(routed);
  });

  it('names every placeholder of a path, and every query parameter of a route', () => {
    for (const { template, query, method } of api().table.routes) {
      const item = document.paths[template]!;
      const named = (item.parameters ?? []).map(({ name }) => `{${name}}`);
      expect(template.split('/').filter((segment) => segment.startsWith('{'))).to.deep.equal(named);
      const operation = operationOf(method, template)!;
      const inQuery = (operation.parameters ?? []).filter((each) => each.in === 'query');
      expect(inQuery.map(({ name }) => name)).to.have.members([...(query ?? [])]);
    }
  });

  it('says 429 of the calls that are limited, and of no other', () => {
    for (const { template, method, unlimited } of api().table.routes) {
      const { responses: described } = operationOf(method, template)!;
      expect('429' in described, template).to.equal(unlimited !== true);
    }
  });

  it('has each operation under an id of its own', () => {
    const ids = operations().map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).to.equal(ids.length);
  });

  it('knows every error code, and where an operation names one it is under its status', () => {
    expect(Object.keys(responses)).to.have.members(Object.keys(errorCatalogue));
    for (const { operation } of operations())
      for (const [status, response] of Object.entries(operation.responses))
        if ('$ref' in response)
          expect(statusByCode[response.$ref.split('/').at(-1) as ErrorCode]).to.equal(Number(status));
  });

  it('refers to nothing that is not there', () => {
    const text = JSON.stringify(document);
    for (const [, kind = '', name = ''] of text.matchAll(/#\/components\/(\w+)\/([\w-]+)/g))
      expect(document.components, `${kind}/${name}`).to.have.nested.property(`${kind}.${name}`);
  });

  it('gives only examples that fit their schemas', () => {
    const examples = mediaTypes().flatMap(({ schema, examples: given }) =>
      Object.values(given ?? {}).map(({ value }) => ({ schema, value })),
    );
    expect(examples.length).to.be.at.least(20);
    for (const { schema, value } of examples) expect(problems(schema, value)).to.deep.equal([]);
  });

  /** Requests whose answers must fit what is said of their status. */
  const calls: readonly (readonly [string, string, string, number, TestRequest?])[] = [
    ['GET', '/api/v1/models', '/api/v1/models', 200],
    ['GET', '/api/v1/models', '/api/v1/models?limit=0', 400],
    ['GET', '/api/v1/models/{model}', '/api/v1/models/wine', 200],
    ['GET', '/api/v1/models/{model}', '/api/v1/models/penguins', 200],
    ['GET', '/api/v1/models/{model}', '/api/v1/models/none', 404],
    ['GET', '/api/v1/models/{model}/versions/{version}', '/api/v1/models/wine/versions/v1.2.3', 200],
    ['GET', '/api/v1/models/{model}/versions/{version}', '/api/v1/models/diabetes/versions/default', 200],
    ['GET', '/api/v1/health', '/api/v1/health', 200],
    ['GET', '/livez', '/livez', 200],
    ['GET', '/readyz', '/readyz', 200],
    ['GET', '/livez', '/livez', 406, { headers: { accept: 'text/html' } }],
    ...(
      [
        [{ inputs: [1, 2, 3, 4, 5] }, 200],
        [{ inputs: [1, 2, 3, 4, 5], parameters: { return_probability: true, top_k: 2 } }, 200],
        [{ inputs: Array.from({ length: 10 }, () => 1), parameters: { model: 'diabetes' } }, 200],
        [{ inputs: [1] }, 400],
        [{ inputs: [1], parameters: { model: 'none' } }, 404],
      ] as const
    ).map(
      ([body, status]) =>
        [
          'POST',
          '/api/v1/predict',
          '/api/v1/predict',
          status,
          { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } },
        ] as const,
    ),
    ['POST', '/api/v1/predict', '/api/v1/predict', 415, { method: 'POST', body: '{}' }],
    ['POST', '/api/v1/predict', '/api/v1/predict', 401, { method: 'POST', headers: { 'x-api-key': 'no' } }],
  ];
  for (const [index, [method, template, path, status, init]] of calls.entries())
    it(`describes the ${status} of ${method} ${path} (${index + 1})`, async () => {
      await expectDescribed(method, template, status, await api().request(path, init));
    });

  /** `{id}` becomes that of the batch that the third member names. */
  const batchCalls: readonly (readonly [string, string, keyof typeof batches, number, string?])[] = [
    ['GET', '/api/v1/batch', 'ended', 200],
    ['GET', '/api/v1/batch', 'ended', 400, '?limit=0'],
    ['GET', '/api/v1/batch/{id}', 'running', 200],
    ['GET', '/api/v1/batch/{id}', 'none', 404],
    ['GET', '/api/v1/batch/{id}/results', 'running', 200],
    ['GET', '/api/v1/batch/{id}/results', 'ended', 200],
    ['GET', '/api/v1/batch/{id}/results', 'ended', 400, '?from=x'],
    ['GET', '/api/v1/batch/{id}/events', 'none', 404],
    ['POST', '/api/v1/batch/{id}/pause', 'running', 200],
    ['POST', '/api/v1/batch/{id}/resume', 'running', 200],
    ['POST', '/api/v1/batch/{id}/resume', 'ended', 409],
    ['POST', '/api/v1/batch/{id}/retry', 'ended', 202],
    ['POST', '/api/v1/batch/{id}/retry', 'running', 409],
    ['DELETE', '/api/v1/batch/{id}', 'running', 202],
    ['DELETE', '/api/v1/batch/{id}', 'ended', 200],
    ['GET', '/api/v1/batch/{id}/deliveries', 'ended', 200],
    ['POST', '/api/v1/batch/{id}/redeliver', 'ended', 409],
    ['GET', '/api/v1/webhook-secret', 'none', 200],
    ['POST', '/api/v1/webhook-secret/rotate', 'none', 200],
    ['GET', '/api/v1/dead-letters', 'none', 200],
    ['POST', '/api/v1/dead-letters/{id}/replay', 'none', 404],
    ['POST', '/api/v1/dead-letters/replay', 'none', 202],
    ['GET', '/api/v1/limits', 'none', 200],
  ];
  const batches = { running: '', ended: '', none: 'batch_01J00000000000000000000000' };
  before(async () => {
    const rows = { firstRow: 0, rowCount: 4, lines: { first: 1 }, refused: [1], failed: [2] };
    batches.running = await rig().submit([rows, { firstRow: 4, rowCount: 4 }], { unfinished: [1] });
    batches.ended = await rig().submit([rows]);
  });
  for (const [method, template, which, status, query = ''] of batchCalls)
    it(`describes the ${status} of ${method} ${template}${query}, batch ${which}`, async () => {
      const path = template.replace('{id}', batches[which]) + query;
      await expectDescribed(method, template, status, await api().request(path, { method }));
    });

  for (const [type, body, status] of [
    ['application/x-ndjson', '[1,2,3,4,5]\n', 202],
    ['application/json', '{"inputs":[[1,2,3,4,5]]}', 202],
    ['application/json', '{"inputs":[[1,2,3,4,5]],"parameters":{"model":"none"}}', 404],
    ['application/json', '{"input":[]}', 400],
    ['text/plain', 'x', 415],
  ] as const)
    it(`describes the ${status} of a batch of ${type}, ${body.trim()}`, async () => {
      const headers = { 'content-type': type, prefer: 'respond-async' };
      const response = await api().request('/api/v1/batch', { method: 'POST', headers, body });
      await expectDescribed('POST', '/api/v1/batch', status, response);
    });
});

/** Headers that only some answers of a status have. */
const sometimes = new Set(['Idempotency-Replayed', 'Preference-Applied']);

async function expectDescribed(
  method: string,
  template: string,
  status: number,
  response: Response,
): Promise<void> {
  const body: unknown = await response.json();
  expect(response.status, JSON.stringify(body)).to.equal(status);
  const operation = operationOf(method, template)!;
  const described = resolved(operation.responses[String(status)]!);
  const schema = described.content!['application/json']!.schema;
  expect(problems(schema, body)).to.deep.equal([]);
  for (const name of Object.keys(described.headers ?? {}))
    if (!(name === 'Accept-Post' && status !== 415) && !sometimes.has(name))
      expect(response.headers.has(name), name).to.equal(true);
}
