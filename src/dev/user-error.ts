/** Something that the person at the terminal can put right: shown as its message alone, without a stack. */
export class UserError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UserError';
  }
}
