/** Compiles once for each version object and forgets with it. */
export function perVersion<V extends object, T>(compile: (version: V) => T): (version: V) => T {
  const compiled = new WeakMap<V, T>();
  return (version) => {
    let known = compiled.get(version);
    if (known === undefined) {
      known = compile(version);
      compiled.set(version, known);
    }
    return known;
  };
}
