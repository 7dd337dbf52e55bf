/** What a credential may be for. `admin` holds all of them. */
export const scopes = ['predict', 'batch', 'models:read', 'models:write', 'admin'] as const;

export type Scope = (typeof scopes)[number];

export function isScope(value: string): value is Scope {
  return (scopes as readonly string[]).includes(value);
}
