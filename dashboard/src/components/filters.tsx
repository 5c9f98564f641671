/* Filters; what they say stands in the address, so a view can be sent to somebody. */

import { useEffect, useState } from "preact/hooks";
import { count } from "../format";
import { refine } from "../nav";
import { Glyph } from "./glyph";
import { look } from "./status";

const TYPING_MS = 250;

interface TextProps {
  value: string;
  onValue: (value: string) => void;
  label: string;
  placeholder: string;
  list?: readonly string[];
  main?: boolean;
}

let texts = 0;

/** What is typed counts when one stops typing. */
export function Search({ value, onValue, label, placeholder, list, main = true }: TextProps) {
  const [typed, setTyped] = useState(value);
  const [id] = useState(() => `search-${++texts}`);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed === value) return;
    const timer = setTimeout(() => onValue(typed), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <div class="search">
      {main && <Glyph name="search" />}
      <input
        type="search"
        id={id}
        aria-label={label}
        placeholder={placeholder}
        data-search={main || undefined}
        autocomplete="off"
        spellcheck={false}
        list={list && `${id}-list`}
        value={typed}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      {list && (
        <datalist id={`${id}-list`}>
          {list.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
      )}
    </div>
  );
}

interface Option {
  value: string;
  status?: string;
  word?: string;
  count?: number;
}

/** Any number of them at once; none means all. */
export function Chips({ label, name, chosen, options }: { label: string; name: string; chosen: readonly string[]; options: readonly Option[] }) {
  const toggle = (value: string) => refine({ [name]: chosen.includes(value) ? chosen.filter((each) => each !== value) : [...chosen, value], cursor: null });
  return (
    <div class="chips" role="group" aria-label={label}>
      {options.map(({ value, status, word, count: number }) => {
        const it = status === undefined ? null : look(status);
        return (
          <button key={value} type="button" class={`chip ${it?.tone ?? ""}`} aria-pressed={chosen.includes(value)} onClick={() => toggle(value)}>
            {it && <Glyph name={it.glyph} size={12} />}
            {word ?? it?.word ?? value}
            {number !== undefined && <span class="muted number">{count(number)}</span>}
          </button>
        );
      })}
    </div>
  );
}

const SINCE = [
  ["", "any time"],
  ["15m", "last 15 min"],
  ["1h", "last hour"],
  ["24h", "last day"],
  ["7d", "last 7 days"],
] as const;

export function SinceChoice({ value }: { value: string }) {
  const known = SINCE.some(([each]) => each === value);
  return (
    <select aria-label="Since" value={value} onChange={(event) => refine({ since: event.currentTarget.value })}>
      {SINCE.map(([each, name]) => (
        <option key={each} value={each}>
          {name}
        </option>
      ))}
      {!known && <option value={value}>since {value}</option>}
    </select>
  );
}
