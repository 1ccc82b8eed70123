// SPDX-License-Identifier: BSD-3-Clause
// The elements for OMERO.web, as static files of its app. All addresses in them are relative, so they work behind any
// prefix. The entry has a fixed name and imports one chunk with a digest in its name; no chunk imports the entry, which
// is asked for with a version behind a question mark and would be another module without it.
import { rmSync } from "node:fs";
import { defineConfig } from "vite";

const out = "../omero_web/omero_slidegate/static/omero_slidegate";

export default defineConfig({
  // Files of the app itself lie there too: only what an earlier build made goes.
  plugins: [{ name: "empty", buildStart: () => rmSync(`${out}/assets`, { recursive: true, force: true }) }],
  build: {
    outDir: out,
    emptyOutDir: false,
    target: "es2022",
    cssTarget: ["chrome123", "firefox121", "safari17.5"],
    sourcemap: false,
    chunkSizeWarningLimit: 700,
    lib: { entry: "src/omero/main.ts", formats: ["es"], fileName: () => "slidegate.js" },
    rolldownOptions: { output: { chunkFileNames: "assets/[name]-[hash].js" } },
  },
});
