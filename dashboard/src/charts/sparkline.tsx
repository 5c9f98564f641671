/* A row of small bars beside a number: a shape, not a measure. */

import type { Tone } from "../components/status";

const WIDTH = 96;
const HEIGHT = 20;

export function Sparkline({ values, summary, tone = "waiting" }: { values: readonly number[]; summary: string; tone?: Tone }) {
  const most = Math.max(1, ...values);
  const step = WIDTH / Math.max(1, values.length);
  return (
    <svg class={`sparkline ${tone}`} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={summary} preserveAspectRatio="none">
      <path d={values.map((value, at) => bar(at * step, step, (value / most) * (HEIGHT - 2))).join("")} />
    </svg>
  );
}

function bar(x: number, step: number, height: number): string {
  const tall = Math.max(0.75, height);
  return `M${(x + step * 0.1).toFixed(2)} ${HEIGHT}v${(-tall).toFixed(2)}h${(step * 0.8).toFixed(2)}v${tall.toFixed(2)}z`;
}
