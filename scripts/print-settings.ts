import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MillraceError } from '../src/errors.ts';
import { loadSettings, settingSchemas } from '../src/settings.ts';
import type { LoadedSettings } from '../src/settings.ts';
import { maskSecret, renderSettingsPage, settingAt } from './settings-page.ts';

const help = `npm run settings [-- --json]    Prints the settings in effect and where each came from; secrets are masked.
  --json    as one JSON object
  --docs    writes docs/settings.md instead
  --help    this text`;

try {
  const flags = parseFlags();
  if (flags.help) console.log(help);
  else if (flags.docs) {
    const page = fileURLToPath(new URL('../docs/settings.md', import.meta.url));
    writeFileSync(page, renderSettingsPage(loadSettings({}).settings));
  } else console.log(flags.json ? asJson(loadSettings()) : asTable(loadSettings()));
} catch (error) {
  if (!MillraceError.is(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

function parseFlags() {
  const options = {
    json: { type: 'boolean' },
    docs: { type: 'boolean' },
    help: { type: 'boolean' },
  } as const;
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    throw new MillraceError('invalid_input', `${(error as Error).message}\n\n${help}`);
  }
}

function shown({
  settings,
  sources,
}: LoadedSettings): { key: string; value: string | number; source: string }[] {
  return [...settingSchemas].map(([key, schema]) => {
    const value = settingAt(settings, key);
    return { key, value: schema['x-secret'] === true ? maskSecret(value) : value, source: sources[key] };
  });
}

function asJson(loaded: LoadedSettings): string {
  const entries = shown(loaded).map(({ key, value, source }) => [key, { value, source }]);
  return JSON.stringify(Object.fromEntries(entries), null, 2);
}

function asTable(loaded: LoadedSettings): string {
  const rows = shown(loaded);
  const keyWidth = Math.max(...rows.map(({ key }) => key.length));
  const valueWidth = Math.max(...rows.map(({ value }) => String(value).length));
  return rows
    .map(({ key, value, source }) => {
      // Defaults are the rule; the eye looks for what differs.
      const origin = source === 'default' ? '' : `  ${source}`;
      return `${key.padEnd(keyWidth)}  ${String(value).padEnd(valueWidth)}${origin}`.trimEnd();
    })
    .join('\n');
}
