import { expect } from 'chai';
import type { ErrorCode } from '../../../src/errors.ts';
import { sendRaw } from '../support/raw-client.ts';
import { useTestApi } from '../support/test-api.ts';
import { badInputVersions, goodBody, post } from './bad-case.ts';
import type { BadCase } from './bad-case.ts';
import { envelopeCases } from './envelopes.ts';
import { requestCases } from './requests.ts';
import { transportCases } from './transport.ts';
import { valueCases } from './values.ts';

interface Envelope {
  readonly error: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly details: unknown;
    readonly request_id: string;
  };
}

const groups: readonly (readonly [string, readonly BadCase[]])[] = [
  ['values', valueCases],
  ['envelopes', envelopeCases],
  ['transport', transportCases],
  ['requests', requestCases],
];

describe('bad input', () => {
  const api = useTestApi({ versions: badInputVersions });

  it('is of at least 200 kinds, each told apart by its name', () => {
    const names = groups.flatMap(([, cases]) => cases.map(({ name }) => name));
    expect(names.length).to.be.at.least(200);
    expect(new Set(names).size).to.equal(names.length);
  });

  for (const [group, cases] of groups)
    describe(group, () => {
      for (const badCase of cases)
        it(`${badCase.status} for ${badCase.name.slice(0, 100)}`, async () => {
          const { port, key } = api();
          const response = await sendRaw(port, badCase.bytes(key), badCase.options);
          expect(response.status, response.body).to.equal(badCase.status);
          expect(response.headers['content-type']).to.equal('application/json');
          expect(response.headers['x-content-type-options']).to.equal('nosniff');
          const { error } = JSON.parse(response.body) as Envelope;
          expect(Object.keys(error)).to.deep.equal(['code', 'message', 'details', 'request_id']);
          expect(error.code).to.equal(badCase.code);
          expect(error.request_id).to.equal(response.headers['x-request-id']);
          expect(namesPlace(error.details, badCase.place), response.body).to.equal(true);
          for (const [name, value] of Object.entries(badCase.headers ?? {}))
            if (typeof value === 'string') expect(response.headers[name], name).to.equal(value);
            else expect(response.headers[name], name).to.match(value);
        });
    });

  it('leaves the API as it was: no permit is out and the next request is answered', async () => {
    const { port, key, admission } = api();
    expect(admission.inFlight).to.equal(0);
    const response = await sendRaw(port, post({ body: goodBody })(key));
    expect(response.status).to.equal(200);
  });
});

/** Places are paths: a case names the very one, or its beginning where it ends in a dot or a part of a name. */
function namesPlace(details: unknown, place: string): boolean {
  if (Array.isArray(details))
    return (details as { path: string }[]).some(({ path }) => path === place || path.includes(place));
  return typeof details === 'string' ? details.includes(place) : place === '';
}
