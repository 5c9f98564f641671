/* A relation: how it is drawn, and how it is said. */

import type { GraphEdge } from "../api/schema";
import type { Line } from "./layout";

export function Edge({ line, isLit }: { line: Line; isLit: boolean }) {
  return (
    <g class={`edge ${line.edge.kind}${isLit ? " lit" : ""}`}>
      <path class="line" d={line.path} />
      {line.head && <path class="head" d={line.head} />}
      <title>{inWords(line.edge)}</title>
    </g>
  );
}

function inWords({ kind, source, target, detail }: GraphEdge): string {
  const more = detail && kind !== "uses" ? ` (${detail})` : "";
  switch (kind) {
    case "depends_on":
      return `${target} depends on ${source}${more}`;
    case "after":
      return `${target} runs after ${source}${more}`;
    case "blocks":
      return `${source} never runs with ${target}${more}`;
    case "breaker":
      return `${source} is protected by breaker ${target}`;
    default:
      return `${source} uses ${detail} of ${target}`;
  }
}
