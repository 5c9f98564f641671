/* The catalogue: every worker, filtered by health, kind and name. */

import { useState } from "preact/hooks";
import type { WorkerStatus } from "../api/schema";
import { count, plural } from "../format";
import { whole } from "../live/whole";
import { refine, route } from "../nav";
import { Arriving, Empty, Head } from "../components/bits";
import { Chips, Search } from "../components/filters";
import { WorkerTable } from "./workertable";

const HEALTHS = ["unhealthy", "offline", "degraded", "disabled", "healthy", "unknown"];
const MODES = ["scheduled", "continuous", "triggered"];
const STEP = 200; // rows at once; ten thousand workers are no page

export function Workers() {
  const it = whole.value;
  const { query } = route.value;
  const [most, setMost] = useState(STEP);
  if (it === null) return <Arriving title="Workers" />;
  const all = [...it.workers.values()];
  const asked = { health: query.getAll("health"), mode: query.getAll("mode"), q: query.get("q") ?? "" };
  const names = it.order.filter((name) => fits(it.workers.get(name), asked));
  const number = (of: (worker: WorkerStatus) => boolean) => all.filter(of).length;
  return (
    <>
      <Head title="Workers" about={names.length === all.length ? plural(all.length, "worker") : `${count(names.length)} of ${plural(all.length, "worker")}`} />
      <div class="filters" role="search" aria-label="Filter workers">
        <Search value={asked.q} onValue={(q) => refine({ q })} label="Search workers by name" placeholder="Name" />
        <Chips
          label="Health"
          name="health"
          chosen={asked.health}
          options={HEALTHS.map((health) => ({ value: health, status: health, count: number((worker) => worker.health === health) })).filter((each) => each.count > 0 || asked.health.includes(each.value))}
        />
        <Chips label="Kind" name="mode" chosen={asked.mode} options={MODES.map((mode) => ({ value: mode, count: number((worker) => worker.mode === mode) })).filter((each) => each.count > 0 || asked.mode.includes(each.value))} />
      </div>
      {names.length > 0 ? (
        <WorkerTable names={names.slice(0, most)} workers={it.workers} about={query.toString()} />
      ) : all.length > 0 ? (
        <Empty title="No matching workers">
          <button type="button" onClick={() => refine({ q: null, health: null, mode: null })}>
            Show all {count(all.length)}
          </button>
        </Empty>
      ) : (
        <Empty title="No workers are registered in this store" code={`@boss.worker(every="1m")\nasync def hello() -> str:\n    return "done"`} />
      )}
      {names.length > most && (
        <button type="button" class="more-rows" onClick={() => setMost(most + STEP)}>
          Show {count(Math.min(STEP, names.length - most))} more of {count(names.length - most)}
        </button>
      )}
    </>
  );
}

function fits(worker: WorkerStatus | undefined, asked: { health: string[]; mode: string[]; q: string }): boolean {
  return (
    worker !== undefined &&
    (asked.health.length === 0 || asked.health.includes(worker.health)) &&
    (asked.mode.length === 0 || asked.mode.includes(worker.mode)) &&
    worker.name.toLowerCase().includes(asked.q.toLowerCase())
  );
}
