/* How long the last attempts took, the oldest first; those that failed are marked by colour and by a cross. */

import { useMemo } from "preact/hooks";
import uPlot from "uplot";
import type { Lasted, Run } from "../api/schema";
import { count, duration, instant } from "../format";
import { RunLink } from "../components/bits";
import { now, utc } from "../components/time";
import { attemptsOf, type Known } from "./attempts";
import { axis, Plot } from "./plot";

const SHORTEST_S = 0.004; // of a whole axis: below, its marks would all say "< 1 ms"

export function Durations({ last, runs, height = 120 }: { last: readonly Lasted[]; runs: readonly Run[]; height?: number }) {
  const known = useMemo(() => attemptsOf(last, runs), [last, runs]);
  const data = useMemo<uPlot.AlignedData>(
    () => [
      last.map((_, at) => at),
      last.map((each) => (each.ok ? each.duration_s : null)),
      last.map((each) => (each.ok ? null : each.duration_s)),
    ],
    [last],
  );
  return (
    <Plot
      data={data}
      height={height}
      summary={durationsInWords(last)}
      caption={(at) => {
        const each = at === null ? undefined : last[at];
        return each !== undefined && at !== null && <Told each={each} known={known[at]} />;
      }}
      stays
      options={(palette) => ({
        scales: {
          x: { time: false, range: (plot) => [-0.6, Math.max(19, plot.data[0].length - 1) + 0.6] },
          y: { range: (_, __, most) => [0, Math.max(SHORTEST_S, most) * 1.15] },
        },
        axes: [
          { show: false },
          axis(palette, { size: 52, splits: (_, __, ___, high) => [0, high / 2.3, high / 1.15], values: (_, at) => at.map(duration) }),
        ],
        series: [{}, bars(palette["ok-fill"]), { ...bars(palette["bad-fill"]), points: { show: true, stroke: palette.bad, width: 1.5, paths: crosses } }],
      })}
    />
  );
}

function bars(colour: string): uPlot.Series {
  return { fill: colour, width: 0, points: { show: false }, paths: uPlot.paths.bars!({ size: [0.6, 12] }) };
}

/** A cross above each bar: failed is not told by colour alone. */
const crosses: uPlot.Series.Points.PathBuilder = (plot, series, from, to) => {
  const stroke = new Path2D();
  const arm = 3 * devicePixelRatio;
  const values = plot.data[series] ?? [];
  for (let at = from; at <= to; at++) {
    const value = values[at];
    if (value === null || value === undefined) continue;
    const x = plot.valToPos(at, "x", true);
    const y = plot.valToPos(value, "y", true) - 2.5 * arm;
    stroke.moveTo(x - arm, y - arm);
    stroke.lineTo(x + arm, y + arm);
    stroke.moveTo(x - arm, y + arm);
    stroke.lineTo(x + arm, y - arm);
  }
  return { stroke, fill: null, clip: null, flags: 0 };
};

function Told({ each, known }: { each: Lasted; known: Known | undefined }) {
  return (
    <>
      {known && (
        <>
          {instant(Date.parse(known.attempt.started_at), now.value, utc.value)} <RunLink id={known.run} />{" "}
        </>
      )}
      {duration(each.duration_s)} {each.ok ? "succeeded" : "failed"}
    </>
  );
}

export function durationsInWords(last: readonly Lasted[]): string {
  if (last.length === 0) return "Durations: no attempts yet.";
  const sorted = last.map((each) => each.duration_s).sort((one, other) => one - other);
  const at = (share: number) => duration(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
  const failed = last.filter((each) => !each.ok).length;
  return `Durations of the last ${count(last.length)} attempts: median ${at(0.5)}, longest ${at(1)}; ${failed === 0 ? "none" : count(failed)} failed.`;
}
