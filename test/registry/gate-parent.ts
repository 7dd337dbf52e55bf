import type { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import process from 'node:process';
import { createChildGate } from '../../src/registry/gate.ts';
import { readOnnxGraph } from '../../src/registry/onnx-graph.ts';
import { fixture } from './onnx-builder.ts';

/** A process that gate.test.ts kills while its gate tries a model that never ends. Prints the child's pid. */
subscribe('child_process', (message) => {
  const child = (message as { process: ChildProcess }).process;
  child.once('spawn', () => process.stdout.write(`${child.pid}\n`));
});

const { declared, served } = readOnnxGraph(fixture('slow-loop'));
const gate = createChildGate({ timeoutMs: 60_000, memoryBytesMax: 2 ** 29 });
await gate(served, {
  manifest: { schema_version: 1, name: 'slow', examples: [{ inputs: ['1000000000000'] }] },
  declared,
  batch: { kind: 'dynamic' },
  labels: null,
});
