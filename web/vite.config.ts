// Build the page into the Python package. File names are fixed, so that the server can list them and
// a change of the sources shows as a change of the same files.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";

// Write the licenses of the libraries that are inside the built files.
function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle(_options, bundle) {
      const folders = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const id of chunk.moduleIds) {
          const match = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(id);
          if (match?.[1]) folders.add(match[1]);
        }
      }
      const texts = [...folders].sort().map((name) => {
        const folder = join("node_modules", name);
        const file = ["LICENSE", "LICENSE.md", "license"].map((leaf) => join(folder, leaf)).find(existsSync);
        const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf-8"));
        const text = file ? readFileSync(file, "utf-8").trim().replaceAll("\r\n", "\n") : license;
        return `${name} ${version} (${license})\n\n${text}\n`;
      });
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: texts.join(`\n${"-".repeat(80)}\n\n`) });
    },
  };
}

export default defineConfig({
  plugins: [svelte(), licenses()],
  build: {
    outDir: "../chatwright/server/page",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: true,
    rolldownOptions: {
      output: {
        entryFileNames: "page.js",
        chunkFileNames: "[name].js",
        assetFileNames: "page[extname]",
      },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8000", "/v1": "http://127.0.0.1:8000" } },
});
