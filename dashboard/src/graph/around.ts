/* What of the graph is around one worker.  Pure. */

import type { Graph, GraphEdge } from "../api/schema";
import { ends, idOf, type Id } from "./layout";

export const DIRECTIONS = ["both", "upstream", "downstream"] as const;
export type Direction = (typeof DIRECTIONS)[number];

const DIRECTED = new Set(["depends_on", "after"]);

/** The worker, all that goes before or after it, and what those share or exclude. */
export function around(graph: Graph, name: string, direction: Direction): Graph {
  const centre = `worker:${name}`;
  const kept = new Set<Id>([centre]);
  if (direction !== "downstream") walk(graph.edges, centre, kept, ([from, to]) => [to, from]);
  if (direction !== "upstream") walk(graph.edges, centre, kept, ([from, to]) => [from, to]);
  const beside = graph.edges.filter((edge) => !DIRECTED.has(edge.kind) && ends(edge).some((id) => id === centre));
  for (const edge of beside) ends(edge).forEach((id) => kept.add(id));
  return {
    ...graph,
    nodes: graph.nodes.filter((node) => kept.has(idOf(node))),
    edges: graph.edges.filter((edge) => ends(edge).every((id) => kept.has(id))),
  };
}

function walk(edges: readonly GraphEdge[], start: Id, kept: Set<Id>, way: (ends: readonly [Id, Id]) => readonly [Id, Id]): void {
  const seen = new Set<Id>([start]);
  const next = new Map<Id, Id[]>();
  for (const edge of edges) {
    if (!DIRECTED.has(edge.kind)) continue;
    const [here, there] = way(ends(edge));
    next.set(here, [...(next.get(here) ?? []), there]);
  }
  const waiting = [start];
  for (let here = waiting.pop(); here !== undefined; here = waiting.pop()) {
    kept.add(here);
    for (const there of next.get(here) ?? []) {
      if (seen.has(there)) continue;
      seen.add(there);
      waiting.push(there);
    }
  }
}

/** Without those that are related to nobody. */
export function related(graph: Graph): Graph {
  const kept = new Set(graph.edges.flatMap(ends));
  return { ...graph, nodes: graph.nodes.filter((node) => kept.has(idOf(node))) };
}
