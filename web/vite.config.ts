// SPDX-License-Identifier: BSD-3-Clause
// The pages are built into the api's package, with a digest in each name, so that a browser may keep them for ever.
// `npm run dev` shows them with live changes and passes all requests on to a running `slidegate serve`.
import { defineConfig } from "vite";

const server = process.env["SLIDEGATE_URL"] ?? "http://127.0.0.1:8400";

export default defineConfig({
  build: {
    outDir: "../src/slidegate/api/pages",
    emptyOutDir: true,
    target: "es2022",
    cssTarget: ["chrome123", "firefox121", "safari17.5"], // light-dark() is written as it is
    assetsInlineLimit: 0, // the policy for content allows no data: addresses in styles
    modulePreload: { polyfill: false },
    sourcemap: false,
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { "/v1": server, "/login": server } },
});
