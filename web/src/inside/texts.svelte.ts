// The texts of the view into a reply and of the lessons; they are loaded with these views.
import { language } from "../state/language.svelte.ts";
import { en } from "./inside_en.ts";

export type Key = keyof typeof en;
export type Texts = Record<Key, string>;

const state = $state<{ code: string; texts: Texts }>({ code: "en", texts: en });

export async function loadTexts(): Promise<void> {
  const { code } = language;
  const texts: Texts =
    code === "de" ? (await import("./inside_de.ts")).de : code === "fr" ? (await import("./inside_fr.ts")).fr : en;
  if (code === language.code) Object.assign(state, { code, texts });
}

// The text of a key; {name} is replaced by a value.
export function tt(key: Key, values: Record<string, string | number> = {}): string {
  return state.texts[key].replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? value.toLocaleString(state.code) : value;
  });
}
