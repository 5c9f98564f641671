/* Small drawings, all of one weight; each stands beside a word and says nothing by itself. */

const PATHS = {
  check: "M3.5 8.5l3 3 6-7",
  cross: "M4 4l8 8M12 4l-8 8",
  bang: "M8 2.5v7M8 12.6v.9",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5l7.5 4.5L5 12.5z",
  ring: "M8 3a5 5 0 100 10A5 5 0 008 3z",
  clock: "M8 2.5a5.5 5.5 0 100 11 5.5 5.5 0 000-11zM8 5v3.2l2.2 1.4",
  cycle: "M13 8a5 5 0 11-1.6-3.7M13 2.5v2.8h-2.8",
  slash: "M8 2.5a5.5 5.5 0 100 11 5.5 5.5 0 000-11zM4.2 4.2l7.6 7.6",
  skip: "M3.5 4l4.5 4-4.5 4M11.5 4v8",
  plug: "M5 8h6M2.5 8H5M11 8h2.5M8 5v0",
  search: "M7 2.5a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.4 10.4L14 14",
  sun: "M8 5.2a2.8 2.8 0 100 5.6 2.8 2.8 0 000-5.6zM8 1.5v1.4M8 13.1v1.4M1.5 8h1.4M13.1 8h1.4M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1",
  moon: "M13 9.6A5.5 5.5 0 016.4 3 5.5 5.5 0 1013 9.6z",
  screen: "M2.5 3.5h11v7h-11zM6 13.5h4M8 10.5v3",
  copy: "M5.5 5.5h7v7h-7zM10.5 5.5v-2h-7v7h2",
  chevron: "M6 3.5L10.5 8 6 12.5",
  link: "M5 11L11 5M6 5h5v5",
  help: "M5.8 6a2.3 2.3 0 114 1.6C8.8 8.4 8 8.7 8 9.8M8 12.4v.4",
  list: "M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.1M2.5 8h.1M2.5 12h.1",
  grid: "M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM9 9h4v4H9z",
  graph: "M2.5 6.5h4v3h-4zM9.5 2.5h4v3h-4zM9.5 10.5h4v3h-4zM6.5 8l3-4M6.5 8l3 4",
  bars: "M2.5 4h6M5 8h8M3.5 12h5",
  letter: "M2.5 4h11v8.5h-11zM2.5 4.5L8 9l5.5-4.5",
  nodes: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.1M5 11h.1",
  pulse: "M1.5 8.5h3l2-5 3 9 2-4h3",
  gear: "M3 4.5h10M3 11.5h10M6 2.8v3.4M10 9.8v3.4",
} as const;

export type GlyphName = keyof typeof PATHS;

export function Glyph({ name, size = 14 }: { name: GlyphName; size?: number }) {
  return (
    <svg class={`glyph glyph-${name}`} viewBox="0 0 16 16" width={size} height={size} aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
