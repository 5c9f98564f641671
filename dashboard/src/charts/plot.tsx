/* uPlot within a component: as wide as its place, drawn anew when the theme changes, one sentence for who does not see it.

   - What stands under the pointer is said in a line below, which always has its place: nothing moves. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { colours, type Colours } from "./colours";
import "./charts.css";

interface Drawn {
  data: uPlot.AlignedData;
  height: number;
  /** What is drawn, in one sentence. */
  summary: string;
  /** What the line below says about one place, and about none. */
  caption: (at: number | null) => ComponentChildren;
  /** Whether it goes on saying so when the pointer has left. */
  stays?: boolean;
  options: (colours: Colours) => Omit<uPlot.Options, "width" | "height">;
}

export function Plot({ data, height, summary, caption, stays = false, options }: Drawn) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(data);
  latest.current = data;
  const [pointed, setPointed] = useState<number | null>(null);
  const palette = colours.value;

  useEffect(() => {
    const it = place.current;
    if (it === null) return;
    const pointing = { setCursor: [(chart: uPlot) => setPointed((before) => chart.cursor.idx ?? (stays ? before : null))] };
    const drawn = new uPlot(
      { ...COMMON, ...options(palette), width: it.clientWidth || 300, height, hooks: pointing },
      latest.current,
      it,
    );
    plot.current = drawn;
    const watch = new ResizeObserver(() => it.clientWidth > 0 && drawn.setSize({ width: it.clientWidth, height }));
    watch.observe(it);
    return () => {
      watch.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [palette, height]);

  useEffect(() => plot.current?.setData(data), [data]);

  return (
    <div class="chart">
      <div ref={place} class="plot" role="img" aria-label={summary} style={{ height: `${height}px` }} />
      <p class="chart-told">{caption(pointed)}</p>
    </div>
  );
}

const COMMON: Partial<uPlot.Options> = {
  legend: { show: false },
  cursor: { drag: { x: false, y: false, setScale: false }, y: false, points: { show: false } },
  padding: [8, 14, 6, 0],
};

/** A quiet axis in the house's type. */
export function axis(palette: Colours, more: Partial<uPlot.Axis> = {}): uPlot.Axis {
  return {
    stroke: palette["text-3"],
    font: `11px ${palette.sans}`,
    grid: { stroke: palette.line, width: 1 },
    ticks: { show: false },
    gap: 4,
    ...more,
  };
}
