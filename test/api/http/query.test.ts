import { expect } from 'chai';
import { integerOf, parseQuery } from '../../../src/api/http/query.ts';
import { placesOf } from '../../support/refusals.ts';

describe('query', () => {
  it('decodes names and values, with + for a space', () => {
    const values = parseQuery('cur%73or=a%2Bb+c&limit=5&', ['cursor', 'limit']);
    expect([...values]).to.deep.equal([
      ['cursor', 'a+b c'],
      ['limit', '5'],
    ]);
  });

  it('names what it does not know', () => {
    expect(placesOf(() => parseQuery('limt=5', ['limit']))).to.deep.equal([
      { path: 'query.limt', expected: 'one of the query parameters limit', found: 'an unknown name' },
    ]);
    expect(placesOf(() => parseQuery('a', []))[0]?.expected).to.match(/^no query parameters/);
  });

  it('refuses repeated names and broken encodings', () => {
    expect(placesOf(() => parseQuery('a=1&a=1', ['a']))[0]?.path).to.equal('query.a');
    expect(placesOf(() => parseQuery('a=%', ['a']))[0]?.path).to.equal('query');
  });

  it('reads integers within bounds', () => {
    const bounds = { min: 1, max: 200, default: 50 };
    const read = (text: string) => integerOf(parseQuery(text, ['n']), 'n', bounds);
    expect([read(''), read('n=1'), read('n=200')]).to.deep.equal([50, 1, 200]);
    for (const text of [
      'n=0',
      'n=201',
      'n=-1',
      'n=1.0',
      'n=1e1',
      'n= 1',
      'n=0x1',
      'n',
      `n=${'9'.repeat(40)}`,
    ])
      expect(placesOf(() => read(text))[0]?.path, text).to.equal('query.n');
  });
});
