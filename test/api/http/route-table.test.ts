import { expect } from 'chai';
import type { Route } from '../../../src/api/http/route-table.ts';
import { RouteTable } from '../../../src/api/http/route-table.ts';
import { jsonAnswer } from '../../../src/api/http/answer.ts';

function route(method: Route['method'], template: string, scope: Route['scope'] = 'predict'): Route {
  return { method, template, scope, produces: null, query: null, handler: () => jsonAnswer(200, template) };
}

const table = new RouteTable([
  route('POST', '/api/v1/predict'),
  route('GET', '/api/v1/models'),
  route('GET', '/api/v1/models/{model}'),
  route('POST', '/api/v1/models/{model}/predict'),
  route('GET', '/api/v1/models/{model}/versions/{version}'),
  route('POST', '/api/v1/models'),
]);

describe('RouteTable', () => {
  const found: readonly (readonly [string, string, readonly string[]])[] = [
    ['/api/v1/predict', '/api/v1/predict', []],
    ['/api/v1/models/wine', '/api/v1/models/{model}', ['wine']],
    ['/api/v1/models/wine/predict', '/api/v1/models/{model}/predict', ['wine']],
    ['/api/v1/models/a/versions/b', '/api/v1/models/{model}/versions/{version}', ['a', 'b']],
    ['/api/v1/%70redict', '/api/v1/predict', []],
    ['/api/v1/models/%C3%A9', '/api/v1/models/{model}', ['é']],
    ['/api/v1/models/a%2Fpredict', '/api/v1/models/{model}', ['a/predict']],
    ['/api/v1/models/__proto__', '/api/v1/models/{model}', ['__proto__']],
  ];
  for (const [path, template, params] of found)
    it(`finds ${template} for ${path}`, () => {
      const match = table.match(path);
      expect(match?.resource.template).to.equal(template);
      expect(match?.params).to.deep.equal(params);
    });

  for (const path of [
    '',
    '/',
    '/api/v1/predict/',
    '/api/v1/models/',
    '/api%2Fv1/predict',
    '/api/v1/models//predict',
  ])
    it(`finds nothing for ${JSON.stringify(path)}`, () => {
      expect(table.match(path)).to.equal(undefined);
    });

  it('throws URIError where percent-encoding is broken', () => {
    expect(() => table.match('/api/%zz')).to.throw(URIError);
  });

  it('derives Allow: HEAD with GET, OPTIONS with everything', () => {
    expect(table.match('/api/v1/predict')?.resource.allow).to.equal('OPTIONS, POST');
    expect(table.match('/api/v1/models')?.resource.allow).to.equal('GET, HEAD, OPTIONS, POST');
    expect(table.allow).to.equal('GET, HEAD, OPTIONS, POST');
  });

  it('does not come to be with a route that has no scope, or stands twice', () => {
    const withoutScope = { ...route('GET', '/a'), scope: undefined } as unknown as Route;
    expect(() => new RouteTable([withoutScope])).to.throw(/GET \/a has no scope/);
    expect(() => new RouteTable([route('GET', '/a'), route('GET', '/a')])).to.throw(/twice/);
  });
});
