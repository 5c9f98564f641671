/* An answer of the API that is read again when it should be.

   - The answer before stays on the page while the next one is under way: nothing flickers.
   - `again` is asked as often as one likes; it asks the server at most once in GAP_MS. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { sentence } from "../api/client";
import { epoch } from "./stream";

const GAP_MS = 1500;

export interface Query<T> {
  data: T | null;
  error: string | null;
  again: () => void;
  change: (act: (data: T) => T) => void;
}

/** *about* names the question; another one starts anew. */
export function useQuery<T>(about: string, ask: (signal: AbortSignal) => Promise<T>): Query<T> {
  const [answer, setAnswer] = useState<{ about: string; data: T | null; error: string | null }>({ about, data: null, error: null });
  const latest = useRef(ask);
  latest.current = ask;
  const timer = useRef(0);
  const askedAt = useRef(0);
  const pending = useRef<AbortController | null>(null);

  const read = useCallback(async () => {
    pending.current?.abort();
    const mine = (pending.current = new AbortController());
    askedAt.current = performance.now();
    try {
      const data = await latest.current(mine.signal);
      if (!mine.signal.aborted) setAnswer({ about, data, error: null });
    } catch (error) {
      if (mine.signal.aborted) return;
      setAnswer((before) => ({ about, data: before.about === about ? before.data : null, error: sentence(error) }));
    }
  }, [about]);

  const again = useCallback(() => {
    if (timer.current) return;
    const wait = Math.max(0, GAP_MS - (performance.now() - askedAt.current));
    timer.current = window.setTimeout(() => {
      timer.current = 0;
      void read();
    }, wait);
  }, [read]);

  const change = useCallback((act: (data: T) => T) => {
    setAnswer((before) => (before.data === null ? before : { ...before, data: act(before.data) }));
  }, []);

  const looked = epoch.value;
  useEffect(() => {
    void read();
    return () => pending.current?.abort();
  }, [read, looked]);
  useEffect(
    () => () => {
      clearTimeout(timer.current);
      timer.current = 0;
    },
    [read],
  );

  const current = answer.about === about ? answer : { data: null, error: null };
  return { data: current.data, error: current.error, again, change };
}
