/* The graph as text: each worker with its relations, each breaker and resource with its members. */

import { useMemo, useState } from "preact/hooks";
import type { Graph, GraphEdge, GraphNode } from "../api/schema";
import { plural } from "../format";
import { WorkerLink } from "../components/bits";
import { Badge } from "../components/status";
import { ends, idOf, type Id } from "./layout";

export function Outline({ graph, now }: { graph: Graph; now: (id: string) => GraphNode | undefined }) {
  const [isOpen, setOpen] = useState(false); // what nobody reads is not there: thousands of lines
  return (
    <details class="graph-outline" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>As text</summary>
      {isOpen && <Entries graph={graph} now={now} />}
    </details>
  );
}

function Entries({ graph, now }: { graph: Graph; now: (id: string) => GraphNode | undefined }) {
  const touching = useMemo(() => byEnd(graph.edges), [graph]);
  return (
    <ul>
      {graph.nodes.map((node) => (
        <li key={idOf(node)}>
          <Entry node={now(idOf(node)) ?? node} edges={touching.get(idOf(node)) ?? []} />
        </li>
      ))}
    </ul>
  );
}

function byEnd(edges: readonly GraphEdge[]): ReadonlyMap<Id, GraphEdge[]> {
  const byNode = new Map<Id, GraphEdge[]>();
  for (const edge of edges) {
    for (const id of ends(edge)) {
      const those = byNode.get(id);
      if (those === undefined) byNode.set(id, [edge]);
      else those.push(edge);
    }
  }
  return byNode;
}

function Entry({ node, edges }: { node: GraphNode; edges: readonly GraphEdge[] }) {
  const relations = node.kind === "worker" ? ofWorker(node.name, edges) : members(node, edges);
  return (
    <>
      <p class="graph-entry">
        {node.kind === "worker" ? <WorkerLink name={node.name} /> : <span class="name">{node.name}</span>}
        {node.kind === "resource" ? <span>{plural(Number(node.detail), "concurrency slot")}</span> : <Badge status={node.health} />}
        <span>{node.kind === "worker" ? `${node.mode}, ${node.detail}` : node.kind}</span>
        {node.running > 0 && <span>{node.running} running</span>}
        {node.due > 0 && <span>{node.due} due</span>}
      </p>
      {relations.length > 0 && (
        <ul>
          {relations.map(([words, names]) => (
            <li key={words}>
              {words} {names.join(", ")}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

type Relation = readonly [string, readonly string[]];

function ofWorker(name: string, edges: readonly GraphEdge[]): Relation[] {
  const to = (kind: string) => edges.filter((edge) => edge.kind === kind && edge.target === name).map((edge) => withDetail(edge.source, edge));
  const from = (kind: string) => edges.filter((edge) => edge.kind === kind && edge.source === name).map((edge) => withDetail(edge.target, edge));
  const relations: Relation[] = [
    ["depends on", to("depends_on")],
    ["runs after", to("after")],
    ["required by", from("depends_on")],
    ["triggers", from("after")],
    ["never runs with", [...from("blocks"), ...to("blocks")]],
    ["breaker", from("breaker")],
    ["uses", from("uses")],
  ];
  return relations.filter(([, names]) => names.length > 0);
}

function members(node: GraphNode, edges: readonly GraphEdge[]): Relation[] {
  const kind = node.kind === "breaker" ? "breaker" : "uses";
  const names = edges.filter((edge) => edge.kind === kind && edge.target === node.name).map((edge) => withDetail(edge.source, edge));
  return names.length > 0 ? [[node.kind === "breaker" ? "protects" : "used by", names]] : [];
}

function withDetail(name: string, edge: GraphEdge): string {
  return edge.detail ? `${name} (${edge.detail})` : name;
}
