/* What the shapes and lines mean. */

import { shape } from "./node";

const SHAPES = [
  ["scheduled", "worker", "scheduled"],
  ["triggered", "worker", "triggered"],
  ["continuous", "worker", "continuous"],
  ["breaker", "breaker", ""],
  ["resource", "resource", ""],
] as const;

const LINES = [
  ["depends_on", "depends on"],
  ["after", "runs after"],
  ["blocks", "never runs with"],
  ["uses", "uses"],
] as const;

export function Legend() {
  return (
    <ul class="graph-legend" aria-label="What the shapes and lines mean">
      {SHAPES.map(([word, kind, mode]) => (
        <li key={word}>
          <svg viewBox="-1 -1 40 18" width={40} height={18} aria-hidden="true">
            <path class="body" d={shape({ kind, mode }, 38, 16)} />
          </svg>
          {word}
        </li>
      ))}
      {LINES.map(([kind, word]) => (
        <li key={kind}>
          <svg viewBox="0 0 40 18" width={40} height={18} aria-hidden="true">
            <g class={`edge ${kind}`}>
              <path class="line" d="M0 9H38" />
              {(kind === "depends_on" || kind === "after") && <path class="head" d="M40 9L31 5.4V12.6z" />}
            </g>
          </svg>
          {word}
        </li>
      ))}
    </ul>
  );
}
