import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { hash } from 'node:crypto';
import type { Answer } from './answer.ts';
import { etagged } from './conditional.ts';
import type { Exchange } from './exchange.ts';
import type { Route } from './route-table.ts';
import { MillraceError } from '../../errors.ts';

/** Only what the page needs, of all that the package ships. */
const assetTypes: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

/** Everything from here, and nothing else; the page's icons are data URLs in its style sheet. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Millrace API</title>
    <link rel="icon" type="image/png" href="/docs/assets/favicon-32x32.png">
    <link rel="stylesheet" href="/docs/assets/swagger-ui.css">
  </head>
  <body>
    <div id="api"></div>
    <script src="/docs/assets/swagger-ui-bundle.js"></script>
    <script src="/docs/assets/page.js"></script>
  </body>
</html>
`;

/** In a file of its own, because the policy forbids scripts in the page. The validator would be a call to elsewhere. */
const pageScript = `SwaggerUIBundle({
  url: '/api/v1/openapi.json',
  dom_id: '#api',
  validatorUrl: null,
  tryItOutEnabled: true,
  persistAuthorization: false,
});
`;

interface Asset {
  readonly body: string | Uint8Array;
  readonly type: string;
  readonly etag: string;
}

/** The contract as JSON and as a page that loads nothing from elsewhere. `document` is the OpenAPI document. */
export function docsRoutes(document: unknown): readonly Route[] {
  const openapi = toAsset(JSON.stringify(document), 'application/json');
  const html = toAsset(page, 'text/html; charset=utf-8');
  const assets = new Map<string, Asset>([['page.js', toAsset(pageScript, 'text/javascript; charset=utf-8')]]);
  const route = { method: 'GET', scope: 'public', query: null } as const;
  return [
    {
      ...route,
      template: '/api/v1/openapi.json',
      produces: 'application/json',
      handler: (exchange) => serve(exchange, openapi, []),
    },
    {
      ...route,
      template: '/docs',
      produces: 'text/html',
      handler: (exchange) =>
        serve(exchange, html, [
          'Content-Security-Policy',
          contentSecurityPolicy,
          'Referrer-Policy',
          'no-referrer',
        ]),
    },
    {
      ...route,
      template: '/docs/assets/{file}',
      produces: null,
      // Five for one look at the page.
      unlimited: true,
      handler: (exchange) => serve(exchange, assetNamed(exchange.params[0] ?? '', assets), []),
    },
  ];
}

/** Read on first use: most processes never show the page. */
function assetNamed(name: string, assets: Map<string, Asset>): Asset {
  const known = assets.get(name);
  if (known !== undefined) return known;
  const type = Object.hasOwn(assetTypes, name) ? assetTypes[name] : undefined;
  if (type === undefined) throw new MillraceError('not_found', 'There is no such file');
  const path = fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`));
  const asset = toAsset(readFileSync(path), type);
  assets.set(name, asset);
  return asset;
}

function toAsset(body: string | Uint8Array, type: string): Asset {
  return { body, type, etag: `"${hash('sha256', body, 'base64url').slice(0, 22)}"` };
}

function serve(exchange: Exchange, asset: Asset, headers: readonly string[]): Answer {
  return etagged(exchange, asset.etag, {
    status: 200,
    headers: ['Content-Type', asset.type, 'Cache-Control', 'public, max-age=300', ...headers],
    body: asset.body,
  });
}
