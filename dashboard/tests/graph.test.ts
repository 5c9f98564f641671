import { expect, test } from "vitest";
import type { Graph, GraphEdge, GraphNode } from "../src/api/schema";
import { around } from "../src/graph/around";
import { HEIGHT, laidOut, structureOf } from "../src/graph/layout";

const worker = (name: string, more: Partial<GraphNode> = {}): GraphNode => ({
  kind: "worker", name, health: "healthy", detail: "", mode: "scheduled", enabled: true, running: 0, due: 0, tags: [], ...more,
});
const edge = (kind: string, source: string, target: string): GraphEdge => ({ kind, source, target, detail: "" });

const GRAPH: Graph = {
  at: "",
  complete: true,
  workers: 6,
  alone: 1,
  groups: 1,
  components: [],
  nodes: [..."abcdx"].map((name) => worker(name)).concat([worker("mailer", { kind: "breaker" }), worker("alone")]),
  edges: [
    edge("depends_on", "a", "b"),
    edge("after", "b", "c"),
    edge("depends_on", "a", "d"),
    edge("blocks", "c", "x"),
    edge("breaker", "c", "mailer"),
  ],
};

const names = (graph: Graph) => graph.nodes.map((node) => node.name).join(" ");

test("around a worker: what goes before, what comes after, what it shares or excludes", () => {
  expect(names(around(GRAPH, "c", "upstream"))).toBe("a b c x mailer");
  expect(names(around(GRAPH, "b", "downstream"))).toBe("b c");
  expect(names(around(GRAPH, "b", "both"))).toBe("a b c");
});

test("a circle has an end", () => {
  const circle = { ...GRAPH, edges: [edge("after", "a", "b"), edge("after", "b", "a")] };

  expect(names(around(circle, "a", "both"))).toBe("a b");
});

test("what goes first stands left, and nothing stands on another", () => {
  const { places } = laidOut(GRAPH);
  const x = (name: string) => places.find((place) => place.node.name === name)!.x;

  expect([x("a") < x("b"), x("b") < x("c"), x("c") < x("mailer")]).toEqual([true, true, true]);
  for (const one of places) {
    for (const other of places) {
      if (one === other) continue;
      expect(Math.abs(one.x - other.x) >= (one.width + other.width) / 2 || Math.abs(one.y - other.y) >= HEIGHT).toBe(true);
    }
  }
});

test("every relation has its line, and only a direction has a head", () => {
  const lines = laidOut(GRAPH).lines.map((line) => [line.edge.kind, line.path !== "", line.head !== ""]);

  expect(lines).toEqual([
    ["depends_on", true, true],
    ["after", true, true],
    ["depends_on", true, true],
    ["breaker", true, false],
    ["blocks", true, false],
  ]);
});

test("health and running move nothing", () => {
  const sick = { ...GRAPH, nodes: GRAPH.nodes.map((node) => ({ ...node, health: "unhealthy", running: 3, due: 9 })) };

  expect(structureOf(sick)).toBe(structureOf(GRAPH));
});
