import { defineConfig } from "vite";

const SERVER = "http://127.0.0.1:8420"; // for `npm run dev`: the API of a node that runs

export default defineConfig({
  base: "./", // it is mounted anywhere
  build: {
    outDir: "../src/shiftboss/web/static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the server's policy allows files of its own, nothing inline
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" }, // of what is bundled
  },
  server: {
    proxy: { "/api": { target: SERVER, headers: { "sec-fetch-site": "same-origin" } } },
  },
});
