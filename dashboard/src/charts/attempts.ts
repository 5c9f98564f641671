/* Which attempts the bars of a chart stand for.  Pure.

   - The server keeps only a duration and a verdict for each; time and run come from *runs*, as far as these go back. */

import type { Attempt, Lasted, Run } from "../api/schema";

export interface Known {
  run: number;
  attempt: Attempt;
}

/** The attempt of each, the oldest first; undefined where *runs* do not go back so far. */
export function attemptsOf(last: readonly Lasted[], runs: readonly Run[]): (Known | undefined)[] {
  const all = runs.flatMap(({ id, attempts }) => attempts.map((attempt) => ({ run: id, attempt })));
  all.sort((one, other) => Date.parse(one.attempt.ended_at) - Date.parse(other.attempt.ended_at));
  const matches = last.map((): Known | undefined => undefined);
  for (let at = last.length - 1; at >= 0 && all.length > 0; at--) {
    const index = all.findLastIndex(({ attempt }) => attempt.duration_s === last[at]?.duration_s && (attempt.cause === null) === last[at]?.ok);
    if (index >= 0) matches[at] = all.splice(index)[0];
  }
  return matches;
}
