import { badBody, post } from './bad-case.ts';
import type { BadCase, Post } from './bad-case.ts';

const inputs = [1, 2, 3, 4, 5];

function badParameter(name: string, parameters: unknown, place: string): BadCase {
  return badBody(`parameters, ${name}`, 'wine', { inputs, parameters }, place);
}

const parameterCases: readonly BadCase[] = [
  badParameter('null', null, 'parameters'),
  badParameter('an array', [], 'parameters'),
  badParameter('a string', 'cache=false', 'parameters'),
  badParameter('an unknown name', { temperature: 1 }, 'parameters.temperature'),
  badParameter('a name in another case', { topK: 1 }, 'parameters.topK'),
  badParameter('top_k 0', { top_k: 0 }, 'parameters.top_k'),
  badParameter('top_k -1', { top_k: -1 }, 'parameters.top_k'),
  badParameter('top_k 1.5', { top_k: 1.5 }, 'parameters.top_k'),
  badParameter('top_k as text', { top_k: '3' }, 'parameters.top_k'),
  badParameter('top_k null', { top_k: null }, 'parameters.top_k'),
  badParameter('top_k past its bound', { top_k: 1001 }, 'parameters.top_k'),
  badParameter('top_k 1e999', { top_k: 1e300 }, 'parameters.top_k'),
  badParameter('timeout_ms 0', { timeout_ms: 0 }, 'parameters.timeout_ms'),
  badParameter('timeout_ms -5', { timeout_ms: -5 }, 'parameters.timeout_ms'),
  badParameter('timeout_ms past its bound', { timeout_ms: 60_001 }, 'parameters.timeout_ms'),
  badParameter('timeout_ms 0.5', { timeout_ms: 0.5 }, 'parameters.timeout_ms'),
  badParameter('timeout_ms as text', { timeout_ms: '100ms' }, 'parameters.timeout_ms'),
  badParameter('timeout_ms true', { timeout_ms: true }, 'parameters.timeout_ms'),
  badParameter('cache as text', { cache: 'no' }, 'parameters.cache'),
  badParameter('cache 0', { cache: 0 }, 'parameters.cache'),
  badParameter('return_probability 1', { return_probability: 1 }, 'parameters.return_probability'),
  badParameter('return_probability null', { return_probability: null }, 'parameters.return_probability'),
  badParameter('model as a number', { model: 7 }, 'parameters.model'),
  badParameter('model empty', { model: '' }, 'parameters.model'),
  badParameter('model too long', { model: 'm'.repeat(65) }, 'parameters.model'),
  badParameter('another model than the path', { model: 'iris' }, 'parameters.model'),
  badParameter('version as a number', { version: 1 }, 'parameters.version'),
  badParameter('version as an array', { version: ['v1'] }, 'parameters.version'),
  badParameter('outputs as text', { outputs: 'label' }, 'parameters.outputs'),
  badParameter('no outputs', { outputs: [] }, 'parameters.outputs'),
  badParameter('an output that is a number', { outputs: [1] }, 'parameters.outputs[0]'),
  badParameter('an unknown output', { outputs: ['logits'] }, 'parameters.outputs[0]'),
  badParameter('an output twice', { outputs: ['label', 'label'] }, 'parameters.outputs'),
  badParameter(
    '65 outputs',
    { outputs: Array.from({ length: 65 }, (_, i) => `o${i}`) },
    'parameters.outputs',
  ),
  {
    name: 'another version than the path',
    bytes: post({
      path: '/api/v1/models/wine/versions/v1.2.3/predict',
      body: JSON.stringify({ inputs, parameters: { version: 'v2' } }),
    }),
    status: 400,
    code: 'invalid_input',
    place: 'parameters.version',
  },
];

const memberCases: readonly BadCase[] = [
  badBody('no inputs', 'wine', {}, 'inputs'),
  badBody('only parameters', 'wine', { parameters: {} }, 'inputs'),
  badBody('input for inputs', 'wine', { input: inputs }, 'input'),
  badBody('instances for inputs', 'wine', { instances: [inputs] }, 'instances'),
  badBody('an unknown member', 'wine', { inputs, id: 'mine' }, 'id'),
  badBody('a member with an empty name', 'wine', { inputs, '': 1 }, ''),
  badBody('a body that is an array', 'wine', [inputs], '(root)'),
  badBody('a body that is a string', 'wine', '"inputs"', '(root)'),
  badBody('a body that is a number', 'wine', '5', '(root)'),
  badBody('a body that is null', 'wine', 'null', '(root)'),
  badBody('a body that is true', 'wine', 'true', '(root)'),
];

/** Bodies that are no JSON, or more JSON than is read. */
const jsonCases: readonly BadCase[] = [
  ...[
    ['only spaces', '   '],
    ['plain text', 'hello'],
    ['a trailing comma', '{"inputs":[1,2,3,4,5,]}'],
    ['a missing bracket', '{"inputs":[1,2,3,4,5'],
    ['a missing brace', '{"inputs":[1,2,3,4,5]'],
    ['an open string', '{"inputs":["a'],
    ['single quotes', "{'inputs':[1,2,3,4,5]}"],
    ['names without quotes', '{inputs:[1,2,3,4,5]}'],
    ['a comment', '{"inputs":[1,2,3,4,5]} // five'],
    ['NaN as a word', '{"inputs":[NaN,2,3,4,5]}'],
    ['Infinity as a word', '{"inputs":[-Infinity,2,3,4,5]}'],
    ['a leading zero', '{"inputs":[01,2,3,4,5]}'],
    ['a leading plus', '{"inputs":[+1,2,3,4,5]}'],
    ['a bare point', '{"inputs":[.5,2,3,4,5]}'],
    ['a hexadecimal number', '{"inputs":[0x10,2,3,4,5]}'],
    ['an exponent without digits', '{"inputs":[1e,2,3,4,5]}'],
    ['two values', '{"inputs":[1,2,3,4,5]}{"inputs":[1,2,3,4,5]}'],
    ['two lines', '{"inputs":[1,2,3,4,5]}\n{"inputs":[1,2,3,4,5]}'],
    ['a control character in a string', '{"inputs":["a\u0001b"]}'],
    ['an unknown escape', '{"inputs":["\\x41"]}'],
    ['a cut escape', '{"inputs":["\\u00"]}'],
    ['undefined', '{"inputs":undefined}'],
    ['a form', 'inputs=1&inputs=2'],
    ['XML', '<inputs><v>1</v></inputs>'],
    ['a NUL', '{"inputs":[1,2,3,4,5]}\u0000'],
    ['33 levels', '['.repeat(33) + ']'.repeat(33)],
    ['33 levels of objects', '{"inputs":'.repeat(33) + '1' + '}'.repeat(33)],
    ['20,000 levels', '['.repeat(20_000) + ']'.repeat(20_000)],
    ['20,000 levels that never close', '['.repeat(20_000)],
    ['deep inputs behind right ones', `{"inputs":[1,2,3,4,${'['.repeat(40)}5${']'.repeat(40)}]}`],
  ].map(([name = '', body = '']) => badBody(name, 'wine', body, '(root)')),
  badBody('ten thousand members', 'wine', manyMembers(3000), 'm0'),
  badBody('a very long number', 'wine', `{"inputs":[${'9'.repeat(400)},2,3,4,5]}`, 'inputs[0]'),
  badBody('a very long exponent', 'wine', `{"inputs":[1e${'9'.repeat(400)},2,3,4,5]}`, 'inputs[0]'),
  badBody('five thousand elements', 'wine', { inputs: Array.from({ length: 5000 }, () => 1) }, 'inputs'),
  badBody('a name of 5,000 characters', 'wine', { inputs, [`n${'x'.repeat(5000)}`]: 1 }, 'nxx'),
];

function manyMembers(count: number): string {
  return `{${Array.from({ length: count }, (_, index) => `"m${index}":1`).join(',')},"inputs":[1]}`;
}

function badBytes(name: string, bytes: Uint8Array): BadCase {
  return { name, bytes: post({ body: bytes }), status: 400, code: 'invalid_input', place: '(root)' };
}

function within(...bytes: readonly number[]): Uint8Array {
  return Buffer.concat([Buffer.from('{"inputs":["'), Buffer.from(bytes), Buffer.from('"]}')]);
}

const encodingCases: readonly BadCase[] = [
  badBytes('UTF-8, a lone continuation byte', within(0x80)),
  badBytes('UTF-8, a cut sequence', within(0xe2, 0x82)),
  badBytes('UTF-8, an overlong slash', within(0xc0, 0xaf)),
  badBytes('UTF-8, a surrogate', within(0xed, 0xa0, 0x80)),
  badBytes('UTF-8, past the last code point', within(0xf4, 0x90, 0x80, 0x80)),
  badBytes('UTF-8, a byte that never occurs', within(0xff)),
  badBytes('Latin-1', within(0xe9)),
  badBytes('UTF-16', Buffer.from('\ufeff{"inputs":[1]}', 'utf16le')),
  badBytes('UTF-16 without a mark', Buffer.from('{"inputs":[1]}', 'utf16le')),
  badBytes('two byte order marks', Buffer.from('\ufeff\ufeff{"inputs":[1,2,3,4,5]}')),
  badBytes('gzip that is not declared', Buffer.from([0x1f, 0x8b, 0x08, 0x00, 0x00])),
];

function badMediaType(type: string | null, more: Partial<Post> = {}): BadCase {
  return {
    name: `media type ${type ?? 'none'}`,
    bytes: post({ ...more, headers: { 'Content-Type': type } }),
    status: 415,
    code: 'unsupported_media_type',
    place: 'header Content-Type',
    headers: { 'accept-post': 'application/json' },
  };
}

function badCoding(coding: string): BadCase {
  return {
    name: `content coding ${coding}`,
    bytes: post({ headers: { 'Content-Encoding': coding } }),
    status: 415,
    code: 'unsupported_media_type',
    place: 'header Content-Encoding',
    headers: { 'accept-encoding': 'identity' },
  };
}

const mediaCases: readonly BadCase[] = [
  ...[
    null,
    '',
    'text/plain',
    'text/json',
    'application/jsonp',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/octet-stream',
    'application/xml',
    'application/x-ndjson',
    'application/vnd.api+json',
    'application/json; charset=latin1',
    'application/json; charset=utf-16',
    'application/json; charset="utf-32"',
    'application/json; charset',
    'application/json charset=utf-8',
    'application/json, text/plain',
    '*/*',
    'json',
  ].map((type) => badMediaType(type)),
  ...['gzip', 'br', 'deflate', 'zstd', 'gzip, identity', 'foo'].map(badCoding),
];

export const envelopeCases: readonly BadCase[] = [
  ...parameterCases,
  ...memberCases,
  ...jsonCases,
  ...encodingCases,
  ...mediaCases,
];
