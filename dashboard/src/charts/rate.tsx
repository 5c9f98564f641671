/* Runs per minute: what succeeded, and on top of it what failed. */

import { useMemo } from "preact/hooks";
import uPlot from "uplot";
import { clock, count } from "../format";
import { utc } from "../components/time";
import { axis, Plot } from "./plot";

export interface Minute {
  at: number; // its beginning, in ms
  succeeded: number;
  failed: number;
}

export function RunsPerMinute({ minutes, height = 120 }: { minutes: readonly Minute[]; height?: number }) {
  const data = useMemo<uPlot.AlignedData>(
    () => [
      minutes.map((minute) => minute.at / 1000),
      minutes.map((minute) => minute.succeeded + minute.failed),
      minutes.map((minute) => minute.failed),
    ],
    [minutes],
  );
  return (
    <Plot
      data={data}
      height={height}
      summary={ratesInWords(minutes)}
      caption={(at) => (at === null ? "" : inWords(minutes[at]))}
      options={(palette) => ({
        scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max(4, most * 1.1)] } },
        axes: [
          axis(palette, { size: 22, grid: { show: false }, values: (_, at) => at.map((s) => clock(s * 1000, utc.peek()).slice(0, 5)) }),
          axis(palette, { size: 36, splits: (_, __, low, high) => [low, Math.floor(high / 2), Math.floor(high)] }),
        ],
        series: [{}, bars(palette["ok-fill"]), bars(palette["bad-fill"])],
      })}
    />
  );
}

function bars(colour: string): uPlot.Series {
  return { fill: colour, width: 0, points: { show: false }, paths: uPlot.paths.bars!({ size: [0.8, 24], gap: 1 }) };
}

function inWords(minute: Minute | undefined): string {
  if (minute === undefined) return "";
  const text = `${clock(minute.at, utc.value).slice(0, 5)}  ${count(minute.succeeded)} succeeded`;
  return minute.failed > 0 ? `${text}, ${count(minute.failed)} failed` : text;
}

export function ratesInWords(minutes: readonly Minute[]): string {
  const [succeeded, failed] = minutes.reduce(([ok, bad], minute) => [ok + minute.succeeded, bad + minute.failed], [0, 0]);
  const most = Math.max(0, ...minutes.map((minute) => minute.succeeded + minute.failed));
  const over = `${minutes.length} minutes`;
  return `Runs per minute over ${over}: ${count(succeeded)} succeeded, ${count(failed)} failed, at most ${count(most)} in one minute.`;
}
