/* The drawing: an axis, and a row for each worker in sight.

   - Time moves by whole pixels.  A run has one stop for Tab in its row; arrows go on from there. */

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useComputed, useSignal } from "@preact/signals";
import type { TimelineRow } from "../api/schema";
import { clock, day } from "../format";
import { now, utc } from "../components/time";
import { WorkerLink } from "../components/bits";
import { ahead, ticks, WINDOWS, xOf, type Scale, type Window } from "./axis";
import { Row, ROW } from "./row";
import { Tip, type TipText } from "./tip";

const BEYOND = 6; // rows drawn above and below what is in sight
const TICK_WIDTH = 84;

export function Rows({ rows, window }: { rows: readonly TimelineRow[]; window: Window }) {
  const box = useRef<HTMLDivElement>(null);
  const track = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [seen, setSeen] = useState({ top: 0, height: 800 });
  const tip = useSignal<TipText | null>(null);

  useLayoutEffect(() => {
    const it = box.current;
    if (it === null) return;
    const look = () => {
      setWidth(Math.floor(track.current?.clientWidth ?? 0));
      setSeen({ top: it.scrollTop, height: it.clientHeight });
    };
    const watch = new ResizeObserver(look);
    watch.observe(it);
    it.addEventListener("scroll", look, { passive: true });
    look();
    return () => {
      watch.disconnect();
      it.removeEventListener("scroll", look);
    };
  }, []);

  const span = WINDOWS[window].ms + ahead(window);
  const step = width === 0 ? 1000 : Math.max(1000, span / width); // of a pixel
  const steps = useRef(step);
  steps.current = step;
  const at = useComputed(() => Math.floor(now.value / steps.current) * steps.current).value;
  const scale = useMemo<Scale>(() => ({ from: at - WINDOWS[window].ms, to: at + ahead(window), now: at, width }), [at, window, width]);
  const first = Math.max(0, Math.floor(seen.top / ROW) - BEYOND);
  const last = Math.min(rows.length, Math.ceil((seen.top + seen.height) / ROW) + BEYOND);

  return (
    <div class="timeline-drawn">
      <div class="timeline-axis" aria-hidden="true">
        <span class="timeline-day">{day(scale.from, utc.value)}</span>
        <div ref={track} class="timeline-track">
          <Axis scale={scale} />
        </div>
      </div>
      <div ref={box} class="timeline-rows" role="group" aria-label="Runs by worker">
        <div class="timeline-all" style={{ height: `${rows.length * ROW}px` }}>
          {rows.slice(first, last).map((row, index) => (
            <div key={row.worker} class="timeline-row" style={{ top: `${(first + index) * ROW}px` }}>
              <span class="timeline-name">
                <WorkerLink name={row.worker} />
              </span>
              {width > 0 && <Row row={row} scale={scale} tell={(it) => (tip.value = it)} />}
            </div>
          ))}
        </div>
      </div>
      <Tip tip={tip} />
    </div>
  );
}

function Axis({ scale }: { scale: Scale }) {
  const { from, to, width } = scale;
  const offset = utc.value ? 0 : -new Date(from).getTimezoneOffset() * 60_000;
  const isDays = to - from > 3 * 24 * 3_600_000;
  return (
    <svg width={width} height={22}>
      {ticks(from, to, Math.max(2, Math.floor(width / TICK_WIDTH)), offset).map((at) => (
        <text key={at} x={Math.min(width - 18, Math.max(18, xOf(scale, at)))} y={15}>
          {isDays ? day(at, utc.value).slice(5) : clock(at, utc.value).slice(0, 5)}
        </text>
      ))}
    </svg>
  );
}
