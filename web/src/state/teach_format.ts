// Numbers and times of the Teach and Runs views in the page's language.
import type { Share } from "../api/teach.ts";
import { language } from "./language.svelte.ts";

export const percent = (share: number, digits = 0): string =>
  share.toLocaleString(language.code, { style: "percent", maximumFractionDigits: digits });

export const range = (share: Share) => ({ share: percent(share.value), low: percent(share.low), high: percent(share.high) });

// Four significant digits, which fits losses, rates and counts alike.
export const figure = (value: number): string =>
  value.toLocaleString(language.code, { maximumSignificantDigits: Math.abs(value) >= 10_000 ? 12 : 4 });

export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
