import { expect } from 'chai';
import { scopes } from '../../../src/api/keys/scopes.ts';
import type { Scope } from '../../../src/api/keys/scopes.ts';
import { useTestApi } from '../support/test-api.ts';

describe('access', () => {
  const api = useTestApi();

  const pathOf = (template: string) =>
    template.replace('{model}', 'wine').replace('{version}', 'default').replace('{file}', 'page.js');

  async function statusWith(method: string, template: string, key: string | null): Promise<number> {
    const response = await fetch(`${api().url}${pathOf(template)}`, {
      method,
      headers: { 'content-type': 'application/json', ...(key === null ? {} : { 'x-api-key': key }) },
      ...(method === 'POST' ? { body: '{"inputs":[1,2,3,4,5]}' } : {}),
    });
    await response.arrayBuffer();
    return response.status;
  }

  it('lets nobody without a key into anything but what is public', async () => {
    for (const { method, template, scope } of api().table.routes)
      expect(await statusWith(method, template, null), template).to.equal(scope === 'public' ? 200 : 401);
  });

  it('holds every route to its scope, for every scope', async () => {
    const keys = new Map<Scope, string>();
    for (const scope of scopes) keys.set(scope, await api().keyWith([scope]));
    for (const { method, template, scope } of api().table.routes)
      for (const [held, key] of keys) {
        const allowed = scope === 'public' || held === scope || held === 'admin';
        expect(await statusWith(method, template, key), `${method} ${template} with ${held}`).to.equal(
          allowed ? 200 : 403,
        );
      }
  });

  it('gives no WWW-Authenticate with 403', async () => {
    const key = await api().keyWith(['batch']);
    const response = await fetch(`${api().url}/api/v1/models`, { headers: { 'x-api-key': key } });
    expect(response.status).to.equal(403);
    expect(response.headers.has('www-authenticate')).to.equal(false);
    const { error } = (await response.json()) as { error: { details: string } };
    expect(error.details).to.include('models:read');
  });
});
