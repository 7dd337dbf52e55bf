import { expect } from 'chai';
import { accepts } from '../../../src/api/http/negotiate.ts';

describe('accepts', () => {
  const cases: readonly (readonly [string | undefined, boolean])[] = [
    [undefined, true],
    ['', true],
    [' ', true],
    ['*/*', true],
    ['application/json', true],
    ['APPLICATION/JSON', true],
    ['application/*', true],
    ['application/json;q=0.1', true],
    ['application/json; charset=utf-8', true],
    ['text/html, application/json', true],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', true],
    ['text/html, */*;q=0.001', true],
    ['*/*;q=0, application/json', true],
    ['application/*;q=0, application/json;q=0.5', true],
    ['application/json;q=high', true],
    ['application/json;q=0, application/json;q=0.5', true],
    ['text/html', false],
    ['text/*', false],
    ['application/xml', false],
    ['application/json;q=0', false],
    ['application/json;q=0.000', false],
    ['application/json ; Q=0', false],
    ['*/*;q=0', false],
    ['*/*, application/json;q=0', false],
    ['application/json;q=0, application/*', false],
    ['json', false],
    [',', false],
  ];
  for (const [header, expected] of cases)
    it(`says ${expected} for ${JSON.stringify(header)}`, () => {
      expect(accepts(header, 'application/json')).to.equal(expected);
    });
});
