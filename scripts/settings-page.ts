import { crossRules, settingSchemas, variableName } from '../src/settings.ts';
import type { SettingKey, SettingSchema, Settings } from '../src/settings.ts';

/** The value under a dotted key. */
export function settingAt(settings: Settings, key: SettingKey): string | number {
  let value: unknown = settings;
  for (const segment of key.split('.')) value = (value as Record<string, unknown>)[segment];
  return value as string | number;
}

/** docs/settings.md. `defaults` are the settings without variables, in the environment of default.yaml. */
export function renderSettingsPage(defaults: Settings): string {
  const rows = [...settingSchemas].map(([key, schema]) => {
    const value = `\`${settingAt(defaults, key)}\``;
    return `| \`${key}\` | ${value} | ${range(schema)} | ${schema.description} |`;
  });
  const rules = crossRules.map(
    ({ left, relation, right, why }) => `- \`${left}\` must be ${relation} \`${right}\`: otherwise ${why}.`,
  );
  return `${[
    '# Settings',
    '',
    '<!-- Made by `node scripts/print-settings.ts --docs` from config/schema.json and config/default.yaml. -->',
    '',
    'Read at start, from the weakest to the strongest: `config/default.yaml`, `config/<environment>.yaml`, and',
    `variables: \`MILLRACE_\`, then the key in capitals with \`_\` for the dot (\`redis.url\` is \`${variableName('redis.url')}\`).`,
    'An empty variable counts as absent. Unknown keys and variables are refused. `npm run settings` prints what is in',
    'effect and where it came from.',
    '',
    '| Key | Default | Range | Meaning, and what the extremes cost |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    '## Rules between settings',
    '',
    ...rules,
    '',
    '## Variables that are not settings',
    '',
    '- `MILLRACE_SUPERVISED=1`: set by a launcher for its children. The process ends when its standard input (or IPC',
    '  channel) closes, and leaves SIGINT to the launcher.',
  ].join('\n')}\n`;
}

function range(schema: SettingSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.type === 'string') return 'text';
  const unit = schema['x-unit'] === undefined ? '' : ` ${schema['x-unit']}`;
  return `${schema.minimum}–${schema.maximum}${unit}`;
}

/** A secret as it may be shown: a URL without its password, anything else not at all. */
export function maskSecret(value: string | number): string {
  const url = URL.parse(String(value));
  if (url === null) return '****';
  if (url.password !== '') url.password = '****';
  // Some clients take credentials as parameters, too.
  for (const name of url.searchParams.keys()) url.searchParams.set(name, '****');
  return url.password === '' && url.search === '' ? String(value) : url.href;
}
