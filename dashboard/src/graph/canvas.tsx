/* The drawing, and moving about in it: drag, wheel with Ctrl, pinch, buttons; focus brings a node into sight. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { GraphNode } from "../api/schema";
import { HEIGHT, type Layout, type Place } from "./layout";
import { Edge } from "./edge";
import { Node } from "./node";

interface View {
  x: number;
  y: number;
  scale: number;
}

interface Size {
  width: number;
  height: number;
}

const SMALLEST = 0.15;
const LARGEST = 2.5;
const LEGIBLE = 0.6; // what is shown first is never smaller; the rest is a drag away
const MARGIN = 24;

interface Shown {
  layout: Layout;
  now: (id: string) => GraphNode | undefined;
  lit: string | null;
  light: (id: string | null) => void;
}

export function Canvas({ layout, now, lit, light }: Shown) {
  const svg = useRef<SVGSVGElement>(null);
  const size = useRef<Size>({ width: 0, height: 0 });
  const [view, setView] = useState<View>({ x: 0, y: 0, scale: 1 });
  const drag = useDrag((dx, dy) => setView((before) => ({ ...before, x: before.x + dx, y: before.y + dy })));

  const zoom = useCallback((factor: number, at?: { x: number; y: number }) => {
    const { width, height } = size.current;
    setView((before) => zoomed(before, factor, at ?? { x: width / 2, y: height / 2 }));
  }, []);
  const reach = useCallback((place: Place) => setView((before) => inSight(before, place, size.current)), []);

  useEffect(() => {
    const it = svg.current;
    if (it === null) return;
    const watch = new ResizeObserver(() => {
      const isFirst = size.current.width === 0;
      size.current = { width: it.clientWidth, height: it.clientHeight };
      if (isFirst) setView(fitted(layout, size.current, LEGIBLE));
    });
    watch.observe(it);
    const wheel = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      const box = it.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY / 300), { x: event.clientX - box.left, y: event.clientY - box.top });
    };
    it.addEventListener("wheel", wheel, { passive: false });
    return () => {
      watch.disconnect();
      it.removeEventListener("wheel", wheel);
    };
  }, []);

  return (
    <div class="graph-canvas">
      <svg ref={svg} class={drag.isOn ? "dragged" : ""} role="group" aria-label="Graph of the workers" {...drag.listen}>
        <g transform={`translate(${view.x} ${view.y}) scale(${view.scale})`}>
          {layout.lines.map((line, index) => (
            <Edge key={index} line={line} isLit={lit !== null && (line.from === lit || line.to === lit)} />
          ))}
          {layout.places.map((place) => (
            <Node key={place.id} place={place} node={now(place.id) ?? place.node} light={light} reach={reach} />
          ))}
        </g>
      </svg>
      <div class="graph-zoom" role="group" aria-label="Zoom">
        <button type="button" aria-label="Zoom in" onClick={() => zoom(1.25)}>
          +
        </button>
        <button type="button" aria-label="Zoom out" onClick={() => zoom(0.8)}>
          −
        </button>
        <button type="button" onClick={() => setView(fitted(layout, size.current, SMALLEST))}>
          Fit
        </button>
      </div>
    </div>
  );
}

function zoomed(view: View, factor: number, at: { x: number; y: number }): View {
  const scale = Math.min(LARGEST, Math.max(SMALLEST, view.scale * factor));
  const by = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * by, y: at.y - (at.y - view.y) * by };
}

function fitted(layout: Layout, { width, height }: Size, smallest: number): View {
  const scale = Math.max(smallest, Math.min(1, width / layout.width, height / layout.height));
  const middle = (within: number, of: number) => Math.max(0, (within - of * scale) / 2);
  return { scale, x: middle(width, layout.width), y: middle(height, layout.height) };
}

function inSight(view: View, place: Place, { width, height }: Size): View {
  const x = nudge(view.x + (place.x - place.width / 2) * view.scale, place.width * view.scale, width);
  const y = nudge(view.y + (place.y - HEIGHT / 2) * view.scale, HEIGHT * view.scale, height);
  return x === 0 && y === 0 ? view : { ...view, x: view.x + x, y: view.y + y };
}

/** How far something has to be moved to be within. */
function nudge(start: number, length: number, within: number): number {
  if (start < MARGIN) return MARGIN - start;
  return Math.min(0, within - MARGIN - (start + length));
}

/** Dragging with the pointer; a click stays a click. */
function useDrag(move: (dx: number, dy: number) => void) {
  const last = useRef<{ x: number; y: number } | null>(null);
  const moved = useRef(false);
  const [isOn, setOn] = useState(false);
  const end = () => {
    last.current = null;
    setOn(false);
  };
  return {
    isOn,
    listen: {
      onPointerDown: (event: PointerEvent) => {
        moved.current = false;
        if (event.button === 0) last.current = { x: event.clientX, y: event.clientY };
      },
      onPointerMove: (event: PointerEvent) => {
        const before = last.current;
        if (before === null) return;
        const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
        if (!moved.current && Math.hypot(dx, dy) < 4) return;
        if (!moved.current) (event.currentTarget as Element).setPointerCapture(event.pointerId);
        moved.current = true;
        setOn(true);
        last.current = { x: event.clientX, y: event.clientY };
        move(dx, dy);
      },
      onPointerUp: end,
      onPointerCancel: end,
      onClickCapture: (event: MouseEvent) => {
        if (moved.current) event.preventDefault();
        moved.current = false;
      },
      onDragStart: (event: DragEvent) => event.preventDefault(),
    },
  };
}
