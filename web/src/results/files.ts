// SPDX-License-Identifier: BSD-3-Clause
/** The files of a result: the report, everything at once, and each file alone. */
import { html, nothing, type TemplateResult } from "lit";
import { icon } from "../elements/icon.ts";
import { bytes } from "../words.ts";
import type { FileFacts, Reader } from "./reader.ts";

const WORDS: Record<string, string> = {
  report: "the findings as a page, with pictures",
  "table/objects": "the table of all nuclei",
  labels: "the outlines, as numbers",
  summary: "counts and settings in short",
};

export function filesPanel(
  files: FileFacts[] | null,
  reader: Reader | null,
  report: FileFacts | undefined,
): TemplateResult {
  if (!files || !reader) return html`<p class="muted" role="status">Reading …</p>`;
  if (!files.length) return html`<p class="muted">There are no files.</p>`;
  const single = files.filter((file) => !file.name.includes("/"));
  const folders = [
    ...new Set(
      files
        .filter((file) => file.name.includes("/"))
        .map((file) => file.name.slice(0, file.name.indexOf("/"))),
    ),
  ];
  const sum = (name: string): number =>
    files.filter((file) => file.name.startsWith(`${name}/`)).reduce((total, file) => total + file.bytes, 0);
  return html`<div class="actions">
      ${report ? html`<a class="button primary" href=${reader.fileUrl(report.name, true)} target="_blank" rel="noopener">${icon("eye", 16)} Open the report</a>` : nothing}
      <a class="button" href=${reader.archiveUrl()} download
        >${icon("save", 16)} Save everything as one zip file</a
      >
    </div>
    <h3>Files</h3>
    <ul class="files">
      ${single.map(
        (file) =>
          html`<li>
            <span
              ><a href=${reader.fileUrl(file.name)} download>${file.name}</a
              >${file.role && WORDS[file.role] ? html`<span class="about">${WORDS[file.role]}</span>` : nothing}</span
            ><span class="muted nowrap">${bytes(file.bytes)}</span>
          </li>`,
      )}
      ${folders.map(
        (name) =>
          html`<li>
            <span
              >${name}<span class="about"
                >${WORDS[files.find((file) => file.name.startsWith(`${name}/`))?.role ?? ""] ?? "a folder"};
                in the zip file</span
              ></span
            ><span class="muted nowrap">${bytes(sum(name))}</span>
          </li>`,
      )}
    </ul>`;
}
