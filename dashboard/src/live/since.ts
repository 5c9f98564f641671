/* "1h" in an address as the instant that the API is asked for.  Pure. */

import { seconds } from "../components/schema";

/** Null for what says nothing; an instant stays as it is. */
export function instantOf(since: string | null, now: number): string | null {
  if (since === null || since === "") return null;
  const ago = seconds(since);
  if (ago !== null) return new Date(now - ago * 1000).toISOString();
  const at = Date.parse(since);
  return Number.isNaN(at) ? null : new Date(at).toISOString();
}
