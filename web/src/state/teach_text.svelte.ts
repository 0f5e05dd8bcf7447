// The texts of the Rate, Teach and Runs views. They are loaded with these views, not with the page.
import { teachEn, type TeachMessages } from "../messages/teach_en.ts";
import { fill, language, type Language, type Values } from "./language.svelte.ts";

const loaders: Record<Language, () => Promise<TeachMessages>> = {
  en: async () => teachEn,
  de: async () => (await import("../messages/teach_de.ts")).teachDe,
  fr: async () => (await import("../messages/teach_fr.ts")).teachFr,
};
const loaded = $state<{ code: Language; messages: TeachMessages }>({ code: "en", messages: teachEn });

export async function loadTeachTexts(code: Language): Promise<void> {
  const messages = await loaders[code]();
  if (language.code === code) Object.assign(loaded, { code, messages });
}

export const teachText = (key: keyof TeachMessages, values: Values = {}): string => fill(loaded.messages[key], loaded.code, values);
