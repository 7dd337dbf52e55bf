/**
 * Applies `work` to the items, at most `concurrency` at once, and yields what it gives in the order of the items, each
 * as soon as those before it are out; also while the source has no next item yet. A failure ends it in its turn.
 */
export async function* inOrder<T, R>(
  items: AsyncIterable<T>,
  concurrency: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const source = items[Symbol.asyncIterator]();
  const underWay: Promise<R>[] = [];
  let arriving: Promise<IteratorResult<T>> | undefined = source.next();
  try {
    while (arriving !== undefined || underWay.length > 0) {
      const [head] = underWay;
      // Whichever comes first: the next item, where there is room for it, or the oldest answer.
      const mayTake = arriving !== undefined && underWay.length < concurrency;
      const arrived: IteratorResult<T> | undefined = await Promise.race([
        ...(mayTake && arriving !== undefined ? [arriving] : []),
        ...(head === undefined ? [] : [head.then(ignore, ignore)]),
      ]);
      if (arrived === undefined) {
        const answer = underWay.shift() as Promise<R>;
        yield await answer;
      } else if (arrived.done === true) arriving = undefined;
      else {
        const answer = work(arrived.value);
        // It is looked at in its turn; until then a failure is nobody's.
        answer.catch(ignore);
        underWay.push(answer);
        arriving = source.next();
      }
    }
  } finally {
    await source.return?.();
  }
}

function ignore(): undefined {
  return undefined;
}
