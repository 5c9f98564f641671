/* Frames for a component, for as long as it is on the page; and what it does when a value has changed. */

import { useEffect, useRef } from "preact/hooks";
import type { Frames } from "../api/schema";
import { on } from "./stream";

export function useFrames<N extends keyof Frames>(name: N, act: (frames: Frames[N][]) => void): void {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => on(name, (frames) => latest.current(frames)), [name]);
}

export function useWhenChanged(value: string | number, act: () => void): void {
  const last = useRef(value);
  useEffect(() => {
    if (last.current === value) return;
    last.current = value;
    act();
  }, [value]);
}
