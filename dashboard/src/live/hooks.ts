/* Frames for a component, for as long as it is on the page. */

import { useEffect, useRef } from "preact/hooks";
import type { Frames } from "../api/schema";
import { on } from "./stream";

export function useFrames<N extends keyof Frames>(name: N, act: (frames: Frames[N][]) => void): void {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => on(name, (frames) => latest.current(frames)), [name]);
}
