// The language of the page. English is in the main file; the others are loaded when chosen.
import { en, type Messages } from "../messages/en.ts";
import { readStored, writeStored } from "./preferences.svelte.ts";

export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français" } as const;
export type Language = keyof typeof LANGUAGES;

const state = $state<{ code: Language; messages: Messages }>({ code: "en", messages: en });

const loaders: Record<Language, () => Promise<Messages>> = {
  en: async () => en,
  de: async () => (await import("../messages/de.ts")).de,
  fr: async () => (await import("../messages/fr.ts")).fr,
};

export const language = {
  get code() {
    return state.code;
  },
};

function preferred(): Language {
  const stored = readStored<string>("language", "");
  for (const tag of [stored, ...navigator.languages]) {
    const code = tag.slice(0, 2).toLowerCase();
    if (code in LANGUAGES) return code as Language;
  }
  return "en";
}

export async function loadLanguage(code: Language = preferred()): Promise<void> {
  state.messages = await loaders[code]();
  state.code = code;
  document.documentElement.lang = code;
}

export async function setLanguage(code: Language): Promise<void> {
  writeStored("language", code);
  await loadLanguage(code);
}

export type Values = Record<string, string | number>;

// The message of a key. {name} is replaced by a value; numbers are written in the page's language.
// A message with plural forms is chosen by the value `n`.
export const t = (key: keyof Messages, values: Values = {}): string => fill(state.messages[key], state.code, values);

export function fill(message: string | Record<string, string>, code: Language, values: Values): string {
  let text: string;
  if (typeof message === "string") text = message;
  else {
    const form = new Intl.PluralRules(code).select(Number(values.n));
    text = message[form] ?? message.other!;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? value.toLocaleString(code) : value;
  });
}

export function formatNumber(value: number, digits = 0): string {
  return value.toLocaleString(state.code, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function formatTime(milliseconds: number): string {
  const options: Intl.DateTimeFormatOptions = { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(state.code, options).format(milliseconds);
}
