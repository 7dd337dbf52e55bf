import { startServices, stopServices } from './services.ts';

export const mochaHooks = {
  async beforeAll(this: Mocha.Context): Promise<void> {
    this.timeout(30_000);
    await startServices();
  },
  async afterAll(): Promise<void> {
    await stopServices();
  },
};
