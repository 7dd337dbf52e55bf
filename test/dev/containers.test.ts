import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { packageRoot } from '../../src/dev/package-root.ts';
import { loadSettings } from '../../src/settings.ts';

interface Service {
  readonly image: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly volumes: readonly string[];
  readonly restart: string;
  readonly read_only: boolean;
  readonly stop_grace_period?: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

function read(file: string): string {
  return readFileSync(join(packageRoot, file), 'utf8');
}

/** Arguments of a command that name a file of ours. */
function scriptsOf(command: readonly string[]): readonly string[] {
  return command.filter((word) => word.startsWith('src/'));
}

/** The engine itself is not at hand where the tests run: these hold the files to what they name. */
describe('containers', () => {
  const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  const services = Object.entries(compose.services);
  const ours = services.filter(([name]) => name !== 'redis');
  const dockerfile = read('Dockerfile');
  const production = loadSettings({ MILLRACE_ENVIRONMENT: 'production' }).settings;

  it('run redis, a set-up, an API and a worker', () => {
    expect(services.map(([name]) => name)).to.have.members(['redis', 'setup', 'api', 'worker']);
  });

  it('run scripts that exist', () => {
    const commands = services.flatMap(([, { command, healthcheck }]) => [command, healthcheck?.test ?? []]);
    const inDockerfile = [...dockerfile.matchAll(/CMD (\[.*\])/g)].map(
      ([, list]) => JSON.parse(list!) as string[],
    );
    const scripts = [...commands, ...inDockerfile].flatMap(scriptsOf);
    expect(scripts).to.include.members(['src/api/main.ts', 'src/workers/main.ts', 'src/dev/set-up-main.ts']);
    expect(scripts.filter((script) => !existsSync(join(packageRoot, script)))).to.deep.equal([]);
  });

  it('copy what exists and what the build context lets through', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files]) =>
      files!.split(' '),
    );
    expect(copied).to.include.members(['src', 'config', 'package-lock.json']);
    expect(copied.filter((file) => !existsSync(join(packageRoot, file)))).to.deep.equal([]);
    const allowed = read('.dockerignore').split('\n');
    expect(copied.filter((file) => !allowed.includes(`!${file.replace('./', '')}`))).to.deep.equal([]);
  });

  it('use the Node that package.json names, as a user of their own', () => {
    const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: { node: string } };
    const images = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image);
    expect(new Set(images)).to.deep.equal(new Set([`node:${devDependencies.node}-bookworm-slim`]));
    expect(Number(/^USER (\d+):/m.exec(dockerfile)?.[1])).to.be.at.least(10_001);
  });

  it('have settings that are accepted, and keep their data where the volume is', () => {
    for (const [name, { environment, volumes }] of ours) {
      const { settings } = loadSettings({ MILLRACE_ENVIRONMENT: 'production', ...environment });
      expect(settings.redis.url, name).to.equal('redis://redis:6379');
      expect(volumes, name).to.deep.equal([`home:${settings.home}`]);
    }
    expect(dockerfile).to.include(`VOLUME ${production.home}`);
    const named = services.flatMap(([, { volumes }]) => volumes.map((volume) => volume.split(':')[0]));
    expect(Object.keys(compose.volumes)).to.have.members([...new Set(named)]);
  });

  it('are checked for health at the ports that the settings name', () => {
    const { api, worker } = compose.services;
    expect(dockerfile).to.include(`http://127.0.0.1:${production.port}/readyz`);
    expect(worker?.healthcheck?.test).to.include(`http://127.0.0.1:${production.worker.admin_port}/readyz`);
    expect(api?.ports).to.deep.equal([`127.0.0.1:${production.port}:${production.port}`]);
    for (const [name, { ports = [] }] of services)
      for (const port of ports) expect(port, name).to.match(/^127\.0\.0\.1:/);
  });

  it('wait for a healthy Redis and for the set-up, and have the time to drain', () => {
    for (const [name, service] of ours.filter(([name]) => name !== 'setup')) {
      expect(service.depends_on, name).to.deep.equal({
        redis: { condition: 'service_healthy' },
        setup: { condition: 'service_completed_successfully' },
      });
      const graceMs = Number(service.stop_grace_period?.replace('s', '')) * 1000;
      expect(graceMs, name).to.be.greaterThan(production.shutdown_grace_ms);
    }
  });

  it('have a Redis that loses nothing and forgets nothing, and read-only file systems', () => {
    const line = compose.services['redis']?.command.join(' ');
    expect(line).to.include('--appendonly yes').and.to.include('--maxmemory-policy noeviction');
    for (const [name, service] of services) expect(service.read_only, name).to.equal(true);
  });
});
