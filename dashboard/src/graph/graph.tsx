/* Who waits for whom, who excludes whom, what they share: drawn, alive, and the same as text.

   - `#/graph?around=NAME&direction=upstream` shows one worker and what is before or after it.
   - What happens changes colours and words; nothing moves until a worker or a relation comes or goes. */

import { useMemo, useState } from "preact/hooks";
import { get } from "../api/client";
import type { Graph as GraphData, GraphNode, WorkerStatus } from "../api/schema";
import { useQuery } from "../live/useQuery";
import { useFrames, useWhenChanged } from "../live/hooks";
import { whole } from "../live/whole";
import { refine, route } from "../nav";
import { Empty, Loading, Trouble } from "../components/bits";
import { around, DIRECTIONS, related, type Direction } from "./around";
import { Canvas } from "./canvas";
import { laidOut, MAX_DRAWN, structureOf } from "./layout";
import { Legend } from "./legend";
import { Outline } from "./outline";
import "./graph.css";

const STRUCTURE = new Set(["worker_declared", "worker_forgotten"]);
const BREAKERS = new Set(["breaker_opened", "breaker_half_open", "breaker_closed", "worker_enabled"]);

const MOST_READ_AGAIN = 1000; // workers; a larger graph is too long to be read with every change

export function Graph() {
  const asked = useQuery("graph", (signal) => get<GraphData>("graph", undefined, signal));
  useFrames("event", (events) => {
    if (events.some((event) => STRUCTURE.has(event.type) || BREAKERS.has(event.type))) asked.again();
  });
  const it = whole.value;
  const hasOthers = it !== null && it.workers.size < it.totals.workers && it.totals.workers <= MOST_READ_AGAIN;
  useWhenChanged(hasOthers ? it.revision : 0, asked.again); // for workers that the stream does not show
  if (asked.error !== null && asked.data === null) return <Trouble error={asked.error} />;
  if (asked.data === null) return <Loading />;
  if (asked.data.nodes.length === 0) return <Empty title="No workers are registered in this store" code={EXAMPLE} />;
  const name = route.value.query.get("around") ?? "";
  if (asked.data.complete) return <Drawn graph={asked.data} />;
  return (
    <div class="graph">
      <Choice graph={asked.data} />
      {name === "" ? <Drawn graph={asked.data} /> : <Near key={name} name={name} />}
    </div>
  );
}

/** A worker with those that are nearest to it, where the graph of all leaves some out. */
function Near({ name }: { name: string }) {
  const asked = useQuery(`graph around ${name}`, (signal) => get<GraphData>("graph", { worker: name }, signal));
  if (asked.error !== null && asked.data === null) return <Trouble error={asked.error} />;
  if (asked.data === null) return <Loading />;
  return <Drawn graph={asked.data} />;
}

/** What the graph leaves out, and the ways to it. */
function Choice({ graph }: { graph: GraphData }) {
  const shown = graph.nodes.filter((node) => node.kind === "worker").length;
  const others = graph.components.filter((each) => !each.shown);
  const [name, setName] = useState("");
  return (
    <div class="graph-choice">
      <p class="graph-much">
        {shown.toLocaleString("en")} of {graph.workers.toLocaleString("en")} workers are shown;{" "}
        {graph.alone.toLocaleString("en")} have no relations.
      </p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          refine({ around: name.trim(), direction: null });
        }}
      >
        <label>
          Worker{" "}
          <input type="search" value={name} placeholder="its whole name" onInput={(event) => setName(event.currentTarget.value)} />
        </label>{" "}
        <button type="submit">Show around it</button>
      </form>
      {others.length > 0 && (
        <label>
          Related workers{" "}
          <select value="" onChange={(event) => refine({ around: event.currentTarget.value, direction: null })}>
            <option value="">choose a group</option>
            {others.map((each) => (
              <option key={each.first} value={each.first}>
                {each.first} and {each.workers - 1} more ({each.health})
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}

function Drawn({ graph }: { graph: GraphData }) {
  const { query } = route.value;
  const name = query.get("around") ?? "";
  const direction = DIRECTIONS.find((each) => each === query.get("direction")) ?? "both";
  const names = useMemo(() => graph.nodes.filter((node) => node.kind === "worker").map((node) => node.name), [graph]);
  const isKnown = names.includes(name);
  const chosen = useMemo(() => (isKnown ? around(graph, name, direction) : graph), [graph, isKnown, name, direction]);
  const drawn = useMemo(() => bounded(chosen), [chosen]);
  const structure = structureOf(drawn);
  const layout = useMemo(() => laidOut(drawn), [structure]);
  const nodes = useMemo(() => new Map(drawn.nodes.map((node) => [`${node.kind}:${node.name}`, node])), [drawn]);
  const workers = whole.value?.workers;
  const now = (id: string) => alive(nodes.get(id), workers);
  const [lit, setLit] = useState<string | null>(null);

  return (
    <div class="graph">
      <div class="graph-choice">
        <label>
          Show{" "}
          <select value={isKnown ? name : ""} onChange={(event) => refine({ around: event.currentTarget.value, direction: null })}>
            <option value="">everything</option>
            {names.map((each) => (
              <option key={each} value={each}>
                around {each}
              </option>
            ))}
          </select>
        </label>
        {isKnown && (
          <label>
            Direction{" "}
            <select value={direction} onChange={(event) => refine({ direction: chosenDirection(event.currentTarget.value) })}>
              <option value="both">upstream and downstream</option>
              <option value="upstream">only upstream</option>
              <option value="downstream">only downstream</option>
            </select>
          </label>
        )}
      </div>
      {drawn.nodes.length > MAX_DRAWN ? (
        <p class="graph-much">
          Too large to draw ({drawn.nodes.length} related). Pick a worker above, or read them as text below.
        </p>
      ) : (
        <Canvas key={structure} layout={layout} now={now} lit={lit} light={setLit} />
      )}
      {drawn.nodes.length < chosen.nodes.length && (
        <p class="graph-much">{chosen.nodes.length - drawn.nodes.length} without relations are not drawn.</p>
      )}
      <Legend />
      <Outline graph={chosen} now={now} />
    </div>
  );
}

function chosenDirection(value: string): Direction | null {
  return value === "both" ? null : (DIRECTIONS.find((each) => each === value) ?? null);
}

function bounded(graph: GraphData): GraphData {
  return graph.nodes.length > MAX_DRAWN ? related(graph) : graph;
}

/** A node as it is now: the stream tells of workers more often than the graph is read. */
function alive(node: GraphNode | undefined, workers: ReadonlyMap<string, WorkerStatus> | undefined): GraphNode | undefined {
  const worker = node?.kind === "worker" ? workers?.get(node.name) : undefined;
  if (node === undefined || worker === undefined) return node;
  const { health, enabled, running, due } = worker;
  return { ...node, health, enabled, running, due };
}

const EXAMPLE = `@boss.worker(every="1m")
def fetch(): ...

@boss.worker(every="5m", depends_on=[fetch])
def report(): ...`;
