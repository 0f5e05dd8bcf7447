// The texts of the Rate, Teach and Runs views. They are loaded with these views, not with the page.
import { loopEn, type LoopMessages } from "../messages/loop_en.ts";
import { fill, language, type Language, type Values } from "./language.svelte.ts";

const loaders: Record<Language, () => Promise<LoopMessages>> = {
  en: async () => loopEn,
  de: async () => (await import("../messages/loop_de.ts")).loopDe,
  fr: async () => (await import("../messages/loop_fr.ts")).loopFr,
};
const loaded = $state<{ code: Language; messages: LoopMessages }>({ code: "en", messages: loopEn });

export async function loadLoopTexts(code: Language): Promise<void> {
  const messages = await loaders[code]();
  if (language.code === code) Object.assign(loaded, { code, messages });
}

export const tl = (key: keyof LoopMessages, values: Values = {}): string => fill(loaded.messages[key], loaded.code, values);
