import type { BatchRecord } from '../../../queues/batch/batch.ts';
import { chunkResults } from './chunk-results.ts';
import type { ResultSource } from './chunk-results.ts';
import type { FactsOfBatches } from './output-facts.ts';
import { rowTexts } from './row-texts.ts';
import { compileDocumentWriter } from './row-writer.ts';

export interface DocumentSource extends ResultSource {
  readonly facts: FactsOfBatches;
}

/**
 * The answer to a batch that has ended while its caller waited, in pieces: all predictions and nothing else but the
 * fields of the document. `processingMs` is asked last.
 */
export async function* documentBody(
  source: DocumentSource,
  batch: BatchRecord,
  processingMs: () => number,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const chunks = chunkResults(source, batch, { fromRow: 0, follow: false, signal });
  const writer = compileDocumentWriter(source.facts.of(batch), batch.render, batch.id);
  yield '{"predictions":[';
  yield* rowTexts(chunks, writer, { fromRow: 0, limit: Number.POSITIVE_INFINITY, prompt: false });
  const tail = JSON.stringify({
    model_version: batch.version,
    model_name: batch.model,
    processing_time_ms: processingMs(),
  });
  yield `],${tail.slice(1)}`;
}
