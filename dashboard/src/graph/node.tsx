/* One node: shape by kind, colour, glyph and word by health. */

import type { GraphNode } from "../api/schema";
import { plural } from "../format";
import { Glyph } from "../components/glyph";
import { look } from "../components/status";
import { href } from "../routes";
import { HEIGHT, MAX_CHARS, type Place } from "./layout";

interface Shown {
  place: Place;
  node: GraphNode;
  light: (id: string | null) => void;
  reach: (place: Place) => void;
}

export function Node({ place, node, light, reach }: Shown) {
  const lighting = { onPointerEnter: () => light(place.id), onPointerLeave: () => light(null) };
  const body = <Body place={place} node={node} />;
  if (node.kind !== "worker") return <g {...lighting}>{body}</g>;
  return (
    <a
      href={href("workers", node.name)}
      onFocus={() => {
        light(place.id);
        reach(place);
      }}
      onBlur={() => light(null)}
      {...lighting}
    >
      {body}
    </a>
  );
}

function Body({ place, node }: { place: Place; node: GraphNode }) {
  const { width } = place;
  const { tone, glyph } = look(node.health);
  const isResource = node.kind === "resource";
  const under = underneath(node);
  return (
    <g class={`node ${node.kind} ${isResource ? "off" : tone}`} transform={`translate(${place.x - width / 2} ${place.y - HEIGHT / 2})`}>
      {node.running > 0 && <path class="pulse" d={shape(node, width)} />}
      <path class="body" d={shape(node, width)} />
      <g transform={`translate(16 ${HEIGHT / 2 - 8})`}>
        <Glyph name={isResource ? "grid" : node.running > 0 ? "play" : glyph} size={16} />
      </g>
      <text class="name" x={40} y={19}>
        {cut(node.name, MAX_CHARS)}
      </text>
      <text class="under" x={40} y={35}>
        {cut(under, Math.floor((width - 52) / 5.9))}
      </text>
      <title>{inWords(node)}</title>
    </g>
  );
}

/** Scheduled: a box; triggered: a tag with a point; continuous: round ends; a breaker: a hexagon; a resource: a box with a rim. */
export function shape(node: Pick<GraphNode, "kind" | "mode">, width: number, height = HEIGHT): string {
  const half = height / 2;
  if (node.kind === "breaker") return `M12 0H${width - 12}L${width} ${half}L${width - 12} ${height}H12L0 ${half}z`;
  if (node.kind === "resource") return `${box(width, height, 2)}M5 0V${height}`;
  if (node.mode === "triggered") return `M4 0H${width - 12}L${width} ${half}L${width - 12} ${height}H4Q0 ${height} 0 ${height - 4}V4Q0 0 4 0z`;
  return box(width, height, node.mode === "continuous" ? half : 4);
}

function box(width: number, height: number, r: number): string {
  return `M${r} 0H${width - r}A${r} ${r} 0 01${width} ${r}V${height - r}A${r} ${r} 0 01${width - r} ${height}H${r}A${r} ${r} 0 010 ${height - r}V${r}A${r} ${r} 0 01${r} 0z`;
}

function underneath(node: GraphNode): string {
  if (node.kind === "resource") return plural(Number(node.detail), "slot");
  const word = look(node.health).word;
  if (node.kind === "breaker") return `breaker ${word}`;
  if (node.running > 0) return `${word} · ${node.running} running`;
  if (node.due > 0) return `${word} · ${node.due} due`;
  return `${word} · ${node.detail}`;
}

/** Uncut, and for who hears it. */
function inWords(node: GraphNode): string {
  if (node.kind !== "worker") return `${node.name}, ${underneath(node)}`;
  const running = node.running > 0 ? `, ${node.running} running` : "";
  const due = node.due > 0 ? `, ${node.due} due` : "";
  return `${node.name}, ${look(node.health).word}, ${node.mode}, ${node.detail}${running}${due}`;
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}
