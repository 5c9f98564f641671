/* Numbers, durations and times in words.  Pure. */

const DAY_S = 86_400;

/** 0.0432 → "43 ms", 75 → "1 min 15 s", 90000 → "1 d 1 h": two units at most. */
export function duration(seconds: number): string {
  const s = Math.abs(seconds);
  if (s < 0.001) return s === 0 ? "0 s" : "< 1 ms";
  if (s < 0.9995) return `${Math.round(s * 1000)} ms`;
  if (s < 9.95) return `${Number.isInteger(s) ? s : s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  const whole = Math.round(s);
  if (whole < 3600) return two(whole, 60, "min", 1, "s");
  if (whole < DAY_S) return two(Math.round(whole / 60) * 60, 3600, "h", 60, "min");
  return two(Math.round(whole / 3600) * 3600, DAY_S, "d", 3600, "h");
}

function two(s: number, big: number, bigName: string, small: number, smallName: string): string {
  const rest = Math.floor((s % big) / small);
  return `${Math.floor(s / big)} ${bigName}${rest > 0 ? ` ${rest} ${smallName}` : ""}`;
}

/** One unit, for what ticks: "12 s", "4 min". */
export function roughly(seconds: number): string {
  const s = Math.abs(seconds);
  if (s < 59.5) return `${Math.round(s)} s`;
  if (s < 3570) return `${Math.round(s / 60)} min`;
  if (s < 22 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / DAY_S)} d`;
}

/** "in 12 s", "4 min ago", "now". */
export function relative(at: number, now: number): string {
  const s = (at - now) / 1000;
  if (Math.abs(s) < 0.95) return "now";
  return s > 0 ? `in ${roughly(s)}` : `${roughly(s)} ago`;
}

interface Parts {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  ms: number;
}

function parts(at: Date, utc: boolean): Parts {
  return utc
    ? {
        year: at.getUTCFullYear(),
        month: at.getUTCMonth() + 1,
        day: at.getUTCDate(),
        hour: at.getUTCHours(),
        minute: at.getUTCMinutes(),
        second: at.getUTCSeconds(),
        ms: at.getUTCMilliseconds(),
      }
    : {
        year: at.getFullYear(),
        month: at.getMonth() + 1,
        day: at.getDate(),
        hour: at.getHours(),
        minute: at.getMinutes(),
        second: at.getSeconds(),
        ms: at.getMilliseconds(),
      };
}

const pad = (value: number, width = 2) => String(value).padStart(width, "0");

export function day(at: number, utc: boolean): string {
  const p = parts(new Date(at), utc);
  return `${p.year}-${pad(p.month)}-${pad(p.day)}`;
}

export function clock(at: number, utc: boolean, ms = false): string {
  const p = parts(new Date(at), utc);
  return `${pad(p.hour)}:${pad(p.minute)}:${pad(p.second)}${ms ? `.${pad(p.ms, 3)}` : ""}`;
}

/** "2026-11-24 15:10:42.903 +01:00" */
export function absolute(at: number, utc: boolean): string {
  return `${day(at, utc)} ${clock(at, utc, true)} ${utc ? "UTC" : offset(at)}`;
}

function offset(at: number): string {
  const minutes = -new Date(at).getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

/** The day only where it is not today. */
export function instant(at: number, now: number, utc: boolean): string {
  const that = day(at, utc);
  return that === day(now, utc) ? clock(at, utc) : `${that.slice(5)} ${clock(at, utc)}`;
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

/** Counted to 1,001 by the store. */
export function capped(value: number): string {
  return value > 1000 ? "1,000+" : count(value);
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** 20 in 60 s → "20/min" */
export function rate(value: number, seconds: number): string {
  const UNITS: Record<number, string> = { 1: "s", 60: "min", 3600: "h", [DAY_S]: "d" };
  return `${count(value)}/${UNITS[seconds] ?? duration(seconds)}`;
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  if (value < 1024 ** 2) return `${+(value / 1024).toFixed(1)} KiB`;
  if (value < 1024 ** 3) return `${+(value / 1024 ** 2).toFixed(1)} MiB`;
  return `${+(value / 1024 ** 3).toFixed(1)} GiB`;
}

/** "urllib.error.HTTPError" → "HTTPError" */
export function shortType(type: string): string {
  return type.slice(type.lastIndexOf(".") + 1);
}

export function label(word: string): string {
  return word.replaceAll("_", " ").replaceAll("-", " ");
}
