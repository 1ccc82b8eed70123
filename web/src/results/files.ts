// SPDX-License-Identifier: BSD-3-Clause
/** The files of a result: the report, everything at once, and each file alone. */
import { html, nothing, type TemplateResult } from "lit";
import "../elements/files.ts";
import { icon } from "../elements/icon.ts";
import type { FileFacts, Reader } from "./reader.ts";

export function filesPanel(
  files: FileFacts[] | null,
  reader: Reader | null,
  report: FileFacts | undefined,
): TemplateResult {
  if (!files || !reader) return html`<p class="muted" role="status">Reading …</p>`;
  if (!files.length) return html`<p class="muted">There are no files.</p>`;
  return html`<div class="actions">
      ${report ? html`<a class="button primary" href=${reader.fileUrl(report.name, true)} target="_blank" rel="noopener">${icon("eye", 16)} Open the report</a>` : nothing}
      <a class="button" href=${reader.archiveUrl()} download
        >${icon("save", 16)} Save everything as one ZIP file</a
      >
    </div>
    <h3>Files</h3>
    <sg-files .files=${files} .address=${(name: string) => reader.fileUrl(name)}></sg-files>`;
}
