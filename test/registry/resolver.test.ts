import { expect } from 'chai';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { FaultEvent } from '../../src/channels.ts';
import { MillraceError } from '../../src/errors.ts';
import { createRedis } from '../../src/redis.ts';
import type { RedisRole } from '../../src/redis.ts';
import { RedisRegistryChanges } from '../../src/registry/redis-registry-changes.ts';
import { createResolver } from '../../src/registry/resolver.ts';
import type { Resolver } from '../../src/registry/resolver.ts';
import { SqliteStore } from '../../src/registry/sqlite-store.ts';
import type { ModelStore } from '../../src/registry/store.ts';
import { digest, draftVersion } from '../contracts/store.ts';
import { startRedis } from '../support/redis-server.ts';
import { randomPrefix, redisUrl } from '../support/services.ts';
import { useFolder } from './folder.ts';
import { nextEvent } from '../queues/inbox.ts';

/** Longer than any test: what a test sees did not come from the poll. */
const never = 2 ** 30;

describe('resolver', () => {
  const folder = useFolder();
  let store: SqliteStore;
  let resolver: Resolver;
  const redis: Redis[] = [];

  beforeEach(() => {
    store = new SqliteStore(join(folder(), 'registry.db'));
  });
  afterEach(async () => {
    await resolver.stop();
    await store.close();
    for (const client of redis.splice(0)) client.disconnect();
  });

  function connect(role: RedisRole, url: string): Redis {
    const client = createRedis(role, {
      url,
      connectTimeoutMs: 1_000,
      commandTimeoutMs: 1_000,
      retryDelayMsMax: 50,
      onError: () => undefined,
    });
    redis.push(client);
    return client;
  }

  async function start(pollMs = never, over: ModelStore = store): Promise<void> {
    resolver = createResolver({ store: over, changes: null, pollMs });
    await resolver.start();
  }

  const changed = (): Promise<void> =>
    new Promise((resolve) => {
      const end = resolver.onChange(() => {
        end();
        resolve();
      });
    });

  it('resolves names, aliases and the default', async () => {
    await store.putVersion(draftVersion({ version: 'v1' }));
    await store.putVersion(draftVersion({ version: 'v2', digest: digest('c') }));
    await store.setAlias('wine', 'canary', 'v2');
    await start();
    expect(resolver.resolve('wine').version).to.equal('v1');
    expect(resolver.resolve('wine', 'v2').version).to.equal('v2');
    expect(resolver.resolve('wine', 'canary')).to.equal(resolver.resolve('wine', 'v2'));
    expect(resolver.model('wine').versions).to.have.length(2);
    expect(resolver.models().map((model) => model.name)).to.deep.equal(['wine']);
  });

  it('takes a version before an alias of that name', async () => {
    await store.putVersion(draftVersion({ version: 'v1' }));
    await store.setAlias('wine', 'v2', 'v1');
    await store.putVersion(draftVersion({ version: 'v2', digest: digest('c') }));
    await start();
    expect(resolver.resolve('wine', 'v2').version).to.equal('v2');
  });

  it('resolves an archived version by its own name', async () => {
    await store.putVersion(draftVersion({ version: 'v1', status: 'archived' }));
    await start();
    expect(resolver.resolve('wine', 'v1').status).to.equal('archived');
  });

  it('says what exists where a name does not', async () => {
    await store.putVersion(draftVersion({ version: 'v1' }));
    await start();
    expect(detailsOf(() => resolver.resolve('wien'))).to.equal('known: wine; did you mean wine?');
    expect(detailsOf(() => resolver.resolve('wine', 'v9'))).to.equal('known: v1, default; did you mean v1?');
    expect(detailsOf(() => resolver.resolve('constructor'))).to.equal('known: wine');
    expect(detailsOf(() => resolver.resolve('wine', '__proto__'))).to.equal('known: v1, default');
  });

  it('sees a change at its poll', async () => {
    await start(1);
    const seen = changed();
    await store.putVersion(draftVersion());
    await seen;
    expect(resolver.resolve('wine').version).to.equal('1');
  });

  it('reads the models again only when the revision grew', async () => {
    let lists = 0;
    const counting = countLists(store, () => lists++);
    await start(never, counting);
    await resolver.refresh();
    expect(lists).to.equal(1);
    await store.putVersion(draftVersion());
    await Promise.all([resolver.refresh(), resolver.refresh()]);
    expect(lists).to.equal(2);
    expect(resolver.resolve('wine').version).to.equal('1');
  });

  it('serves the last snapshot and reports one fault while the store is out of reach', async () => {
    await store.putVersion(draftVersion());
    let broken = false;
    const failing = {
      ...countLists(store, () => undefined),
      revision: () => (broken ? Promise.reject(new MillraceError('service_unavailable')) : store.revision()),
    };
    await start(1, failing);
    const fault = nextFault();
    broken = true;
    expect((await fault).message).to.contain('out of reach');
    expect(resolver.resolve('wine').version).to.equal('1');
    await store.setAlias('wine', 'canary', '1');
    const seen = changed();
    broken = false;
    await seen;
    expect(resolver.resolve('wine', 'canary').version).to.equal('1');
  });

  it('does not start without its store', async () => {
    resolver = createResolver({ store, changes: null, pollMs: never });
    await store.close();
    const error: unknown = await resolver.start().catch((thrown: unknown) => thrown);
    expect(MillraceError.is(error) && error.code).to.equal('service_unavailable');
  });

  it('goes on when a listener throws', async () => {
    await start();
    const fault = nextFault();
    resolver.onChange(() => {
      throw new Error('listener');
    });
    await store.putVersion(draftVersion());
    await resolver.refresh();
    expect((await fault).message).to.contain('listener');
    expect(resolver.resolve('wine').version).to.equal('1');
  });

  it('hears an announcement', async () => {
    const prefix = randomPrefix();
    const url = redisUrl();
    const announcer = new RedisRegistryChanges({
      publisher: connect('command', url),
      subscriber: null,
      prefix,
    });
    const subscriber = connect('subscriber', url);
    const changes = new RedisRegistryChanges({ publisher: connect('command', url), subscriber, prefix });
    for (const client of redis) if (client.status !== 'ready') await nextEvent(client, 'ready');
    resolver = createResolver({ store, changes, pollMs: never });
    await resolver.start();
    const seen = changed();
    await store.putVersion(draftVersion());
    await announcer.announce();
    await seen;
    expect(resolver.resolve('wine').version).to.equal('1');
    await resolver.stop();
    expect(subscriber.listenerCount('message')).to.equal(0);
  });

  it('reads again after a reconnect, and also when Redis comes up after it', async () => {
    const server = await startRedis();
    try {
      const client = connect('subscriber', server.url);
      await nextEvent(client, 'ready');
      await loseConnection(client, () => server.kill());
      const publisher = connect('command', server.url);
      const changes = new RedisRegistryChanges({ publisher, subscriber: client, prefix: 'p' });
      resolver = createResolver({ store, changes, pollMs: never });
      await resolver.start();
      for (const version of ['v1', 'v2']) {
        await store.putVersion(draftVersion({ version, digest: digest(version === 'v1' ? 'c' : 'd') }));
        const seen = changed();
        await server.restart();
        await seen;
        expect(resolver.resolve('wine', version).version).to.equal(version);
        await loseConnection(client, () => server.kill());
      }
      const error: unknown = await changes.announce().catch((thrown: unknown) => thrown);
      expect(MillraceError.is(error) && error.code).to.equal('service_unavailable');
    } finally {
      for (const client of redis.splice(0)) client.disconnect();
      await server.stop();
    }
  });
});

async function loseConnection(client: Redis, kill: () => Promise<void>): Promise<void> {
  // Not events.once: it would reject at the errors that a lost connection comes with.
  const lost = new Promise((resolve) => client.once('reconnecting', resolve));
  await kill();
  await lost;
}

function countLists(store: ModelStore, onList: () => void): ModelStore {
  return {
    putVersion: (draft) => store.putVersion(draft),
    getModel: (name) => store.getModel(name),
    listModels: () => {
      onList();
      return store.listModels();
    },
    setAlias: (model, alias, version) => store.setAlias(model, alias, version),
    revision: () => store.revision(),
    close: () => store.close(),
  };
}

function nextFault(): Promise<FaultEvent> {
  return new Promise((resolve) => {
    const listen = (message: unknown): void => {
      unsubscribe('millrace.fault', listen);
      resolve(message as FaultEvent);
    };
    subscribe('millrace.fault', listen);
  });
}

function detailsOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    if (MillraceError.is(error) && error.code === 'not_found') return error.details;
    throw error;
  }
  throw new Error('it was found');
}
