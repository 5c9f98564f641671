/* The catalogue: every worker, filtered by health, kind and name.

   - The server searches, filters and counts; the page holds the rows that it shows.
   - Rows that the stream shows are as new as the stream; the others are read again when any worker has changed. */

import { useMemo, useState } from "preact/hooks";
import { get } from "../api/client";
import type { Workers as Page, WorkerStatus } from "../api/schema";
import { count, plural } from "../format";
import { useWhenChanged } from "../live/hooks";
import { useQuery } from "../live/useQuery";
import { whole } from "../live/whole";
import { refine, route } from "../nav";
import { Arriving, Empty, Head, Loading, Trouble } from "../components/bits";
import { Chips, Search } from "../components/filters";
import { WorkerTable } from "./workertable";

const HEALTHS = ["unhealthy", "offline", "degraded", "disabled", "healthy", "unknown"];
const MODES = ["scheduled", "continuous", "triggered"];
const STEP = 200; // rows at once; ten thousand workers are no page
const MOST = 10_000; // rows of one answer

export function Workers() {
  const it = whole.value;
  const { query } = route.value;
  const about = query.toString();
  const filter = { health: query.getAll("health"), mode: query.getAll("mode"), q: query.get("q") ?? "" };
  const [limit, setLimit] = useState(STEP);
  const asked = useQuery(about, (signal) => get<Page>("workers", { ...filter, q: filter.q.trim(), limit }, signal));
  useWhenChanged(`${limit} ${it?.revision}`, asked.again);
  const page = asked.data;
  const live = it?.workers;
  const workers = useMemo(() => new Map((page?.workers ?? []).map((row) => [row.name, live?.get(row.name) ?? row])), [page, live]);
  const names = useMemo(() => page?.workers.map((row) => row.name) ?? [], [page]);
  if (it === null) return <Arriving title="Workers" />;
  const { workers: all, health, mode } = it.totals;
  const matching = page?.matching ?? 0;
  return (
    <>
      <Head title="Workers" about={page === null || matching === all ? plural(all, "worker") : `${count(matching)} of ${plural(all, "worker")}`} />
      <div class="filters" role="search" aria-label="Filter workers">
        <Search value={filter.q} onValue={(q) => refine({ q })} label="Search workers by name" placeholder="Name" />
        <Chips label="Health" name="health" chosen={filter.health} options={HEALTHS.map((value) => ({ value, status: value, count: health[value] ?? 0 })).filter((each) => each.count > 0 || filter.health.includes(each.value))} />
        <Chips label="Kind" name="mode" chosen={filter.mode} options={MODES.map((value) => ({ value, count: mode[value] ?? 0 })).filter((each) => each.count > 0 || filter.mode.includes(each.value))} />
      </div>
      {asked.error && <Trouble error={asked.error} />}
      {page === null ? (
        !asked.error && <Loading />
      ) : (
        <Rows names={names} workers={workers} all={all} about={about} />
      )}
      {page !== null && page.next !== null && limit < MOST && (
        <button type="button" class="more-rows" onClick={() => setLimit(limit + STEP)}>
          Show {count(Math.min(STEP, matching - names.length))} more of {count(matching - names.length)}
        </button>
      )}
    </>
  );
}

function Rows({ names, workers, all, about }: { names: readonly string[]; workers: ReadonlyMap<string, WorkerStatus>; all: number; about: string }) {
  if (names.length > 0) return <WorkerTable names={names} workers={workers} about={about} />;
  if (all === 0) return <Empty title="No workers are registered in this store" code={`@boss.worker(every="1m")\nasync def hello() -> str:\n    return "done"`} />;
  return (
    <Empty title="No matching workers">
      <button type="button" onClick={() => refine({ q: null, health: null, mode: null })}>
        Show all {count(all)}
      </button>
    </Empty>
  );
}
