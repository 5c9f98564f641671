/* Rows never move under the hand.

   - While somebody touches a table (pointer, focus, selection, open rows, or scrolled into it) its rows stay where they are; what is new
     waits behind a button that says how many.
   - A row that went away stays, as it was last, until nobody touches it any more. */

import { useCallback, useRef, useState } from "preact/hooks";

export interface Settled<K> {
  shown: readonly K[];
  waiting: number;
}

/** Pure: what a table shows next. */
export function settle<K>(shown: readonly K[], wanted: readonly K[], touched: boolean): Settled<K> {
  if (!touched || shown.length === 0) return { shown: same(shown, wanted) ? shown : wanted, waiting: 0 };
  const there = new Set(shown);
  const fresh = wanted.filter((key) => !there.has(key));
  const older = behind(wanted, there);
  return { shown: older.length > 0 ? [...shown, ...older] : shown, waiting: fresh.length - older.length };
}

/** What stands behind the last row that is there: it moves nothing ("load more"). */
function behind<K>(wanted: readonly K[], there: ReadonlySet<K>): readonly K[] {
  const last = wanted.findLastIndex((key) => there.has(key));
  return last === -1 ? [] : wanted.slice(last + 1);
}

function same<K>(one: readonly K[], other: readonly K[]): boolean {
  return one.length === other.length && one.every((key, at) => key === other[at]);
}

export interface StableRows<K> extends Settled<K> {
  show: () => void;
  touch: {
    onPointerEnter: (event: PointerEvent) => void;
    onPointerLeave: () => void;
    onFocusIn: () => void;
    onFocusOut: (event: FocusEvent) => void;
  };
}

/** *busy*: something in the table is selected or open.  *about*: another question, so all rows are new. */
export function useStableRows<K>(wanted: readonly K[], busy: boolean, about: string): StableRows<K> {
  const shown = useRef<readonly K[]>(wanted);
  const asked = useRef(about);
  const [pointed, setPointed] = useState(false);
  const [focused, setFocused] = useState(false);
  const [, redraw] = useState(0);
  if (asked.current !== about) {
    asked.current = about;
    shown.current = wanted;
  }
  const settled = settle(shown.current, wanted, pointed || focused || busy);
  shown.current = settled.shown;
  const show = useCallback(() => {
    shown.current = wanted;
    redraw((count) => count + 1);
  }, [wanted]);
  const touch = {
    onPointerEnter: (event: PointerEvent) => setPointed(event.pointerType === "mouse"),
    onPointerLeave: () => setPointed(false),
    onFocusIn: () => setFocused(true),
    onFocusOut: (event: FocusEvent) => {
      const table = event.currentTarget as Element;
      if (!table.contains(event.relatedTarget as Node | null)) setFocused(false);
    },
  };
  return { ...settled, show, touch };
}
