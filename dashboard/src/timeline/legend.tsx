/* What the bars mean. */

const BARS = [
  ["waiting", "waiting"],
  ["running", "running"],
  ["succeeded", "succeeded"],
  ["failed", "failed"],
  ["back-off", "back-off"],
  ["planned", "planned"],
] as const;

export function Legend() {
  return (
    <ul class="timeline-legend" aria-label="What the bars mean">
      {BARS.map(([kind, word]) => (
        <li key={kind}>
          <svg viewBox="0 0 24 12" width={24} height={12} aria-hidden="true">
            <Bar kind={kind} x={kind === "planned" ? 12 : 0} y={0} width={kind === "planned" ? 0 : 24} height={12} />
          </svg>
          {word}
        </li>
      ))}
    </ul>
  );
}

const SMALLEST = 2; // px: what was short is seen all the same

/** A stretch of time; what failed has a cross where there is room, and is lower where there is none. */
export function Bar({ kind, x, y, width, height }: { kind: string; x: number; y: number; width: number; height: number }) {
  const middle = y + height / 2;
  if (kind === "planned") return <circle class="bar planned" cx={x} cy={middle} r={Math.min(4, height / 2 - 0.75)} />;
  const thin = kind === "waiting" || kind === "back-off";
  const wide = thin ? Math.max(0, width) : Math.max(SMALLEST, width);
  const tall = thin ? Math.max(2, Math.min(4, height / 3)) : height;
  return (
    <>
      <rect class={`bar ${kind}`} x={x} y={middle - tall / 2} width={wide} height={tall} rx={thin ? 0 : Math.min(2, wide / 2)} />
      {kind === "failed" && <path class="bar-cross" d={cross(x + wide / 2, middle, Math.min(3.5, height / 2 - 2))} />}
    </>
  );
}

function cross(x: number, y: number, arm: number): string {
  return arm < 1.5 ? "" : `M${x - arm} ${y - arm}L${x + arm} ${y + arm}M${x - arm} ${y + arm}L${x + arm} ${y - arm}`;
}
