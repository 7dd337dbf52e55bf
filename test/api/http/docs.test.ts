import { expect } from 'chai';
import { useTestApi } from '../support/test-api.ts';

describe('docs', () => {
  const api = useTestApi();
  const get = (path: string) => fetch(`${api().url}${path}`);

  it('shows a page that loads nothing from elsewhere', async () => {
    const page = await get('/docs');
    expect(page.headers.get('content-type')).to.equal('text/html; charset=utf-8');
    const policy = page.headers.get('content-security-policy')!;
    expect(policy).to.include("default-src 'none'").and.include("script-src 'self'");
    expect(policy).to.not.match(/https?:|'unsafe-eval'|script-src[^;]*unsafe/);
    const html = await page.text();
    expect(html).to.not.match(/https?:\/\//);
    const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link!);
    expect(links).to.have.length(4);
    for (const link of links) expect((await get(link)).status, link).to.equal(200);
    expect(html).to.not.match(/<script>|onload=/);
  });

  it('serves its files with their types, cacheable and conditional', async () => {
    const types = {
      'swagger-ui.css': 'text/css; charset=utf-8',
      'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
      'favicon-32x32.png': 'image/png',
      'page.js': 'text/javascript; charset=utf-8',
    };
    for (const [name, type] of Object.entries(types)) {
      const file = await get(`/docs/assets/${name}`);
      expect(file.headers.get('content-type')).to.equal(type);
      expect(file.headers.get('cache-control')).to.match(/^public, max-age=\d+$/);
      expect((await file.arrayBuffer()).byteLength).to.be.greaterThan(100);
      const headers = { 'if-none-match': file.headers.get('etag')! };
      expect((await fetch(file.url, { headers })).status).to.equal(304);
    }
  });

  it('serves no other file', async () => {
    for (const name of [
      'index.html',
      'package.json',
      'swagger-ui.js.map',
      'constructor',
      '..%2f..%2fpackage.json',
      '%2e%2e',
      '/etc/passwd',
      'swagger-ui.css%00',
    ]) {
      const file = await get(`/docs/assets/${name}`);
      expect(file.status, name).to.equal(404);
      expect(file.headers.get('content-type')).to.equal('application/json');
    }
  });

  it('serves the contract without credentials', async () => {
    const contract = await get('/api/v1/openapi.json');
    expect(contract.headers.get('content-type')).to.equal('application/json');
    expect(((await contract.json()) as { openapi: string }).openapi).to.equal('3.1.0');
  });
});
