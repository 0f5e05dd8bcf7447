// The progress of a build in words.
import type { Status } from "../api/status.ts";
import { t } from "./language.svelte.ts";

export function percentText(status: Status): string {
  return status.fraction === null ? "" : `${Math.min(99, Math.floor(100 * status.fraction))} %`;
}

export function timeLeftText(seconds: number): string {
  if (seconds < 45) return t("build.underAMinute");
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return t("build.minutesLeft", { n: minutes });
  const values = { hours: Math.floor(minutes / 60), minutes: minutes % 60 };
  return t(values.minutes ? "build.hoursMinutesLeft" : "build.hoursLeft", values);
}

export function progressText(status: Status): string {
  if (status.state === "opening") return percentText(status);
  if (status.state !== "building") return "";
  const left = status.seconds_left === null ? t("build.timeUnknown") : timeLeftText(status.seconds_left);
  return [percentText(status), left].filter(Boolean).join(" \u00b7 ");
}
