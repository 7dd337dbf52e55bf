import express from 'express';
import type { Request, Response } from 'express';
import type { RequestListener } from 'node:http';
import type { Dispatcher } from './dispatcher.ts';

/**
 * The Express application: one handler for everything. Matching, refusals and answers are in dispatcher.ts:
 * Express's own chain of middleware costs several microseconds a link, and its router knows neither 405 nor a
 * table that can be checked.
 */
export function createApp(dispatcher: Dispatcher): RequestListener {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', false);
  app.use(dispatcher.handle);
  return (request, response) => {
    // With a callback of ours Express builds no final handler of its own for each request. It comes here without
    // an error when it cannot read the target (`http://[`) and so finds no handler: the dispatcher says what is wrong.
    app(request as Request, response as Response, (error?: unknown) => {
      if (error === undefined) dispatcher.handle(request, response);
      else response.destroy();
    });
  };
}
