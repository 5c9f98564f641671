/* The runs of one worker. */

import { useMemo, useState } from "preact/hooks";
import type { Run, TimelineRow } from "../api/schema";
import { plural } from "../format";
import { utc } from "../components/time";
import { href } from "../routes";
import { xOf, type Scale } from "./axis";
import { Bar } from "./legend";
import { lanes, ms, spans, type Span } from "./spans";
import type { TipText } from "./tip";
import { facts } from "./words";

export const ROW = 30;
const PADDING = 5;
const MOST_LANES = 4;

interface Shown {
  run: Run;
  parts: Span[];
}

export function Row({ row, scale, tell }: { row: TimelineRow; scale: Scale; tell: (tip: TipText | null) => void }) {
  const shown = useMemo(() => inWindow(row.runs, scale), [row.runs, scale]);
  const lane = useMemo(() => lanes(shown.map((each) => each.parts), MOST_LANES), [shown]);
  const [stop, setStop] = useState<number | null>(null);
  const height = (ROW - 2 * PADDING) / lane.count - (lane.count > 1 ? 1 : 0);
  const stops = shown.map((each) => each.run.id);
  const tabbed = stop !== null && stops.includes(stop) ? stop : stops[stops.length - 1];
  const stored = new Set(row.runs.map((run) => ms(run.occurs_at))); // the next one may be a run already
  const planned = row.planned.map(ms).filter((at) => at > scale.now && at <= scale.to && !stored.has(at));

  return (
    <svg class="timeline-track" width={scale.width} height={ROW} role="group" aria-label={`${row.worker}: ${plural(shown.length, "run")}, ${planned.length} planned`}>
      <line class="timeline-base" x1={0} x2={scale.width} y1={ROW - 0.5} y2={ROW - 0.5} />
      <line class="timeline-now" x1={xOf(scale, scale.now)} x2={xOf(scale, scale.now)} y1={0} y2={ROW} />
      {planned.map((at) => (
        <Bar key={at} kind="planned" x={xOf(scale, at)} y={PADDING} width={0} height={ROW - 2 * PADDING} />
      ))}
      {shown.map(({ run, parts }, index) => {
        const lines = facts(run, parts, utc.value);
        const show = (event: Event) => tell({ at: (event.currentTarget as Element).getBoundingClientRect(), title: `${run.worker} #${run.id}`, facts: lines });
        return (
          <a
            key={run.id}
            href={href("runs", run.id)}
            aria-label={`Run ${run.id}: ${lines.join(", ")}`}
            tabIndex={run.id === tabbed ? 0 : -1}
            onKeyDown={(event) => step(event)}
            onFocus={(event) => {
              setStop(run.id);
              show(event);
            }}
            onBlur={() => tell(null)}
            onPointerEnter={show}
            onPointerLeave={() => tell(null)}
          >
            {parts.map((part) => (
              <Bar
                key={`${part.kind} ${part.from}`}
                kind={part.kind}
                x={xOf(scale, Math.max(part.from, scale.from))}
                y={PADDING + (lane.of[index] ?? 0) * (height + 1)}
                width={xOf(scale, part.to) - xOf(scale, Math.max(part.from, scale.from))}
                height={height}
              />
            ))}
          </a>
        );
      })}
    </svg>
  );
}

function inWindow(runs: readonly Run[], scale: Scale): Shown[] {
  return runs
    .map((run) => ({ run, parts: spans(run, scale.now).filter((part) => part.to >= scale.from && part.from <= scale.to) }))
    .filter((each) => each.parts.length > 0);
}

/** Left and right go from run to run. */
function step(event: KeyboardEvent): void {
  const here = event.currentTarget as Element;
  const next = event.key === "ArrowLeft" ? here.previousElementSibling : event.key === "ArrowRight" ? here.nextElementSibling : null;
  if (next?.localName !== "a") return;
  event.preventDefault();
  (next as SVGAElement).focus();
}
