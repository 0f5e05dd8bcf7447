// What the user chose for this browser: theme, and the settings a new conversation begins with.
import { copyOf, DEFAULT_SETTINGS, type Settings } from "../conversation/types.ts";

export type Theme = "system" | "light" | "dark";

export function readStored<T>(key: string, fallback: T): T {
  try {
    const text = localStorage.getItem(`chatwright.${key}`);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback; // storage is refused, or holds something else
  }
}

export function writeStored(key: string, value: unknown): void {
  try {
    localStorage.setItem(`chatwright.${key}`, JSON.stringify(value));
  } catch {
    // Storage is refused: the choice holds until the page is closed.
  }
}

const storedTheme = readStored<Theme>("theme", "system");

export const preferences = $state({
  theme: (["system", "light", "dark"] as Theme[]).includes(storedTheme) ? storedTheme : "system",
});

export function applyTheme(): void {
  if (preferences.theme === "system") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", preferences.theme);
}

export function setTheme(theme: Theme): void {
  preferences.theme = theme;
  writeStored("theme", theme);
  applyTheme();
}

export function storedSettings(): Settings {
  return { ...copyOf(DEFAULT_SETTINGS), ...readStored<Partial<Settings>>("settings", {}) };
}

export function storeSettings(settings: Settings): void {
  writeStored("settings", { ...settings, seed: null });
}
