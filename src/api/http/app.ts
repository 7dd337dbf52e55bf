import express from 'express';
import type { Express, NextFunction, Request, Response } from 'express';
import type { Dispatcher } from './dispatcher.ts';
import { exchangeOn } from './exchange.ts';

/**
 * The Express application: one handler for everything, and the last resort behind it. Matching, refusals and
 * answers are in dispatcher.ts: Express's own chain of middleware costs several microseconds a link, and its
 * router knows neither 405 nor a table that can be checked.
 */
export function createApp(dispatcher: Dispatcher): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', false);
  app.use(dispatcher.handle);
  app.use(lastResort);
  return app;
}

/** Express knows an error handler by its four parameters. */
function lastResort(error: unknown, request: Request, response: Response, _next: NextFunction): void {
  const exchange = exchangeOn(request.socket);
  if (exchange === undefined) response.destroy();
  else exchange.fail(error);
}
