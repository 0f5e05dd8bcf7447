// Start the page: load the language, then show the application, or the conversation of a shared link.
import { mount } from "svelte";
import App from "./App.svelte";
import { loadLanguage } from "./state/language.svelte.ts";
import { applyTheme } from "./state/preferences.svelte.ts";
import { addressedToken } from "./shared/links.ts";
import "./styles/theme.css";
import "./styles/layout.css";
import "./styles/chat.css";
import "./styles/markdown.css";
import "./styles/panels.css";
import "./styles/teach.css";

applyTheme();
await loadLanguage();
const target = document.getElementById("app")!;
const token = addressedToken();
if (token) mount((await import("./shared/SharedView.svelte")).default, { target, props: { token } });
else mount(App, { target });
// A shared conversation is a page of its own.
addEventListener("hashchange", () => addressedToken() !== token && location.reload());
