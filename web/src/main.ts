// Start the page: load the language, then show the application.
import { mount } from "svelte";
import App from "./App.svelte";
import { loadLanguage } from "./state/language.svelte.ts";
import { applyTheme } from "./state/preferences.svelte.ts";
import "./styles/theme.css";
import "./styles/layout.css";
import "./styles/chat.css";
import "./styles/markdown.css";
import "./styles/panels.css";
import "./styles/loop.css";

applyTheme();
await loadLanguage();
mount(App, { target: document.getElementById("app")! });
