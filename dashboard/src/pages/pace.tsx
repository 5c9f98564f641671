/* Runs per minute over the last hour, alive. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "../api/client";
import type { Minutes } from "../api/schema";
import { RunsPerMinute } from "../charts/rate";
import { useQuery } from "../live/useQuery";
import { useFrames } from "../live/hooks";
import { tally, window, type Minute } from "../live/minutes";
import { Loading, Trouble } from "../components/bits";
import { now, At } from "../components/time";

const MINUTES = 60;

export function Pace() {
  const { data, error } = useQuery("minutes", (signal) => get<Minutes>("minutes", undefined, signal));
  const [counts, setCounts] = useState<ReadonlyMap<number, Minute>>(new Map());
  useEffect(() => setCounts(new Map()), [data]);
  useFrames("run", (runs) => {
    if (data === null) return;
    const ended = runs.filter((run) => run.finished_at !== null && run.finished_at > data.at);
    if (ended.length > 0) setCounts((before) => tally(before, ended, now.peek(), MINUTES));
  });
  const minute = Math.floor(now.value / 60_000);
  const minutes = useMemo(() => {
    const counted = (data?.minutes ?? []).map((each) => ({ ...each, at: Date.parse(each.at) }));
    return window(counted, counts, minute * 60_000, MINUTES);
  }, [data, counts, minute]);
  if (data === null) return error ? <Trouble error={error} /> : <Loading />;
  return (
    <>
      <RunsPerMinute minutes={minutes} height={132} />
      {!data.complete && (
        <p class="hint">
          Counted since <At at={data.since} /> only: too many runs ended to count the whole hour.
        </p>
      )}
    </>
  );
}
