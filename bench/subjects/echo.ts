import express from 'express';

/**
 * E, the yardstick: a bare Express app that parses a JSON body and answers one of the same shape as predict's.
 * No validation, no queue, no model.
 */
const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.post('/api/v1/predict', express.json(), (_request, response) => {
  response.json({
    predictions: [{ id: 'pred_123456', output: 'class_1', probabilities: [0.1, 0.7, 0.2], score: 0.7 }],
    model_version: 'v1.2.3',
    model_name: 'my_classification_model',
    processing_time_ms: 1.2,
  });
});
const server = app.listen(Number(process.argv[2]), '127.0.0.1', () => process.stdout.write('listening\n'));
process.once('SIGTERM', () => server.close());
