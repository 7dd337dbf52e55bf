import { connect } from 'node:net';

// Whoever listens at the port sees when this process ends, whatever ends it.
connect(Number(process.env['PRESENCE_PORT']), '127.0.0.1');
await import('../../../src/workers/host/main.ts');
