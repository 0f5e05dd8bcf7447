// Sampling settings in a line: the temperature, and every value that is not the default.
import { DEFAULT_SETTINGS, type Settings } from "../conversation/types.ts";
import { formatNumber, t } from "./language.svelte.ts";

const NUMBERS = ["top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty"] as const;

export function settingsText(settings: Settings): string {
  const parts = [`${t("settings.temperature")} ${formatNumber(settings.temperature, 1)}`];
  for (const name of NUMBERS) {
    if (settings[name] !== DEFAULT_SETTINGS[name]) parts.push(`${t(`settings.${name}`)} ${settings[name]}`);
  }
  if (settings.max_tokens !== null) parts.push(`${t("settings.max_tokens")} ${settings.max_tokens}`);
  if (settings.seed !== null) parts.push(`${t("settings.seed")} ${settings.seed}`);
  if (settings.stop.length) parts.push(`${t("settings.stop")} ${settings.stop.map((stop) => JSON.stringify(stop)).join(" ")}`);
  if (settings.thinking !== "model") parts.push(`${t("settings.thinking")} ${t(`settings.${settings.thinking}`)}`);
  if (settings.heads_off?.length) parts.push(`${t("settings.heads_off")} ${settings.heads_off.map((head) => head.join(".")).join(" ")}`);
  return parts.join(" \u00b7 ");
}
