import { expect } from 'chai';
import { isName, parseModelRef, printVersion } from '../../src/registry/model-ref.ts';

describe('model references', () => {
  it('parses a model, a version and an alias', () => {
    expect(parseModelRef('wine')).to.deep.equal({ model: 'wine', ref: undefined });
    expect(parseModelRef('wine/v1.2.3')).to.deep.equal({ model: 'wine', ref: 'v1.2.3' });
    expect(parseModelRef('wine@champion')).to.deep.equal({ model: 'wine', ref: 'champion' });
  });

  it('prints what it parses', () => {
    const version = { model: 'wine', version: 'v1.2.3' };
    expect(parseModelRef(printVersion(version))).to.deep.equal({ model: 'wine', ref: 'v1.2.3' });
  });

  for (const text of [
    '',
    '/',
    'wine/',
    'wine@',
    '@champion',
    'a/b/c',
    'a/b@c',
    ' wine',
    '../x',
    'wíne',
    '-x',
  ])
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(() => parseModelRef(text)).to.throw('Not the name of a model');
    });

  it('takes names of up to 64 letters', () => {
    expect(isName('a'.repeat(64))).to.equal(true);
    expect(isName('a'.repeat(65))).to.equal(false);
    expect(isName(7)).to.equal(false);
    expect(isName('wine\n')).to.equal(false);
  });
});
