/**
 * `node src/dev/set-up-main.ts`: registers the sample models and makes the development key, once, for a system
 * whose processes somebody else starts: docker-compose.yml.
 */
import { resolve } from 'node:path';
import { devKeyFile } from '../run-file.ts';
import { loadSettings } from '../settings.ts';
import { createOutput } from './output.ts';
import { readSamples } from './samples.ts';
import { setUp } from './set-up.ts';

const output = createOutput(process.stdout);
const { settings } = loadSettings();
const home = resolve(settings.home);
const samples = readSamples();
await setUp({ home, samples, limits: settings.registry });
output.tick('models', samples.map(({ name }) => name).join(', '));
output.tick('key', `in ${devKeyFile(home)}`);
