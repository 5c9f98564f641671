/* Where everything of the graph stands.  Pure.

   - Only who is there and who is related to whom decides: health and running change nothing, so nothing moves while one looks.
   - Left to right by dagre: what goes first stands left.  Who is related to nobody stands in rows below.
   - `blocks` has no direction and pulls nobody; its line is bent around what stands between. */

import { Graph as Dagre, layout } from "@dagrejs/dagre";
import type { Graph, GraphEdge, GraphNode } from "../api/schema";

export const HEIGHT = 46;
export const MAX_DRAWN = 500; // more related things than this, and only what is around one of them is drawn
export const MAX_CHARS = 28;
const CHAR = 7.1; // of the 13 px text
const MIN_WIDTH = 176; // "healthy · every 20 s"
const GAP = 24;
const MARGIN = 40; // room for lines that are bent around
const MIN_ROW = 900;

export type Id = string; // kind:name

export interface Place {
  id: Id;
  node: GraphNode;
  x: number; // of the middle
  y: number;
  width: number;
}

export interface Line {
  edge: GraphEdge;
  from: Id;
  to: Id;
  path: string;
  head: string; // an arrow's; empty without direction
}

export interface Layout {
  places: Place[];
  lines: Line[];
  width: number;
  height: number;
}

interface Point {
  x: number;
  y: number;
}

const KIND_OF_TARGET: Record<string, string> = { breaker: "breaker", uses: "resource" };

export function ends(edge: GraphEdge): readonly [Id, Id] {
  return [`worker:${edge.source}`, `${KIND_OF_TARGET[edge.kind] ?? "worker"}:${edge.target}`];
}

export function idOf(node: GraphNode): Id {
  return `${node.kind}:${node.name}`;
}

/** What a layout depends on. */
export function structureOf(graph: Graph): string {
  return JSON.stringify([graph.nodes.map((node) => [node.kind, node.name, node.mode]), graph.edges]);
}

export function laidOut(graph: Graph): Layout {
  const directed = graph.edges.filter((edge) => edge.kind !== "blocks");
  const related = new Set(graph.edges.flatMap(ends));
  const dagre = new Dagre({ multigraph: true });
  dagre.setGraph({ rankdir: "LR", nodesep: 18, ranksep: 64, edgesep: 12, marginx: MARGIN, marginy: GAP });
  for (const node of graph.nodes) if (related.has(idOf(node))) dagre.setNode(idOf(node), { width: widthOf(node), height: HEIGHT });
  for (const [at, edge] of directed.entries()) {
    const [from, to] = ends(edge);
    if (dagre.hasNode(from) && dagre.hasNode(to)) dagre.setEdge(from, to, {}, String(at));
  }
  if (dagre.nodeCount() > 0) layout(dagre);
  const size = dagre.nodeCount() > 0 ? (dagre.graph() as unknown as { width: number; height: number }) : { width: GAP, height: GAP };
  const places: Place[] = [];
  const alone: GraphNode[] = [];
  for (const node of graph.nodes) {
    if (!dagre.hasNode(idOf(node))) alone.push(node);
    else {
      const { x, y, width } = dagre.node(idOf(node)) as unknown as Point & { width: number };
      places.push({ id: idOf(node), node, x, y, width });
    }
  }
  const below = inRows(alone, Math.max(size.width, MIN_ROW), size.height + (alone.length < graph.nodes.length ? GAP : 0));
  const at = new Map(places.map((place) => [place.id, place]));
  return {
    places: [...places, ...below.places],
    lines: [
      ...directed.flatMap((edge, number) => straight(edge, dagre.edge({ v: ends(edge)[0], w: ends(edge)[1], name: String(number) }) as { points: Point[] } | undefined, at)),
      ...graph.edges.filter((edge) => edge.kind === "blocks").flatMap((edge) => bent(edge, at)),
    ],
    width: Math.max(size.width, below.width),
    height: Math.max(size.height, below.height),
  };
}

function widthOf(node: GraphNode): number {
  return Math.max(MIN_WIDTH, Math.min(MAX_CHARS, node.name.length) * CHAR + 56);
}

function inRows(nodes: GraphNode[], within: number, top: number): { places: Place[]; width: number; height: number } {
  const places: Place[] = [];
  let x = MARGIN;
  let y = top + HEIGHT / 2;
  let widest = 0;
  for (const node of nodes) {
    const width = widthOf(node);
    if (x > MARGIN && x + width > within) {
      x = MARGIN;
      y += HEIGHT + 18;
    }
    places.push({ id: idOf(node), node, x: x + width / 2, y, width });
    x += width + 18;
    widest = Math.max(widest, x);
  }
  return { places, width: widest + GAP, height: nodes.length === 0 ? 0 : y + HEIGHT / 2 + GAP };
}

/** From the right side of one to the left side of the other, by way of where dagre leads it. */
function straight(edge: GraphEdge, routed: { points: Point[] } | undefined, places: ReadonlyMap<Id, Place>): Line[] {
  const [from, to] = ends(edge);
  const [one, other] = [places.get(from), places.get(to)];
  if (routed === undefined || one === undefined || other === undefined) return [];
  const start = { x: one.x + one.width / 2, y: one.y };
  const end = { x: other.x - other.width / 2, y: other.y };
  const isForward = end.x > start.x;
  const points = isForward ? [start, ...routed.points.slice(1, -1).filter((point) => point.x > start.x && point.x < end.x), end] : routed.points;
  const isDirected = edge.kind === "depends_on" || edge.kind === "after";
  return [{ edge, from, to, path: smooth(points), head: isDirected ? arrow(points, isForward) : "" }];
}

/** Through the points, level at each of them. */
function smooth([first, ...rest]: Point[]): string {
  if (first === undefined) return "";
  let path = `M${at(first)}`;
  let before = first;
  for (const point of rest) {
    const middle = (before.x + point.x) / 2;
    path += `C${at({ x: middle, y: before.y })} ${at({ x: middle, y: point.y })} ${at(point)}`;
    before = point;
  }
  return path;
}

function arrow(points: Point[], isForward: boolean): string {
  const tip = points[points.length - 1];
  if (tip === undefined) return "";
  const back = isForward ? -9 : 9;
  return `M${at(tip)}L${at({ x: tip.x + back, y: tip.y - 4 })}L${at({ x: tip.x + back, y: tip.y + 4 })}z`;
}

/** From border to border, beside what stands between the two. */
function bent(edge: GraphEdge, places: ReadonlyMap<Id, Place>): Line[] {
  const [from, to] = ends(edge);
  const [one, other] = [places.get(from), places.get(to)].sort((a, b) => (a?.y ?? 0) - (b?.y ?? 0));
  if (one === undefined || other === undefined) return [];
  const apart = Math.abs(one.x - other.x) > (one.width + other.width) / 2;
  const path = apart ? across(one, other) : beside(one, other);
  return [{ edge, from, to, path, head: "" }];
}

function across(one: Place, other: Place): string {
  const side = one.x < other.x ? 1 : -1;
  const start = { x: one.x + (side * one.width) / 2, y: one.y + HEIGHT / 4 };
  const end = { x: other.x - (side * other.width) / 2, y: other.y - HEIGHT / 4 };
  const pull = Math.max(24, Math.abs(end.x - start.x) / 2) * side;
  return `M${at(start)}C${at({ x: start.x + pull, y: start.y })} ${at({ x: end.x - pull, y: end.y })} ${at(end)}`;
}

function beside(one: Place, other: Place): string {
  if (other.y - one.y < HEIGHT * 2) return `M${at({ x: one.x, y: one.y + HEIGHT / 2 })}L${at({ x: other.x, y: other.y - HEIGHT / 2 })}`;
  const x = Math.min(one.x - one.width / 2, other.x - other.width / 2);
  return `M${at({ x: one.x - one.width / 2, y: one.y })}C${at({ x: x - 36, y: one.y })} ${at({ x: x - 36, y: other.y })} ${at({ x: other.x - other.width / 2, y: other.y })}`;
}

function at(point: Point): string {
  return `${Math.round(point.x * 10) / 10} ${Math.round(point.y * 10) / 10}`;
}
