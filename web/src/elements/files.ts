// SPDX-License-Identifier: BSD-3-Clause
/** The files of one image's results, each with what it is for. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { ResultFile } from "../api.ts";
import { bytes } from "../words.ts";
import { shared } from "./base.ts";

const ROLES: Record<string, string> = {
  report: "The findings as a page, with pictures",
  "table/objects": "The table of all that was found",
  labels: "The outlines, as numbers",
  "table/regions": "The regions that were drawn, and what was found in them",
  summary: "Counts and settings in short",
};
const NAMES: Record<string, string> = {
  "ro-crate-metadata.json": "How all of this was made, for other programs and archives",
  "run.log": "What the workflow wrote while it worked",
  "workflow.json": "What was run, and with which settings",
};

/** `address` says where a file is; folders are only named: they come with the archive. */
@customElement("sg-files")
export class SgFiles extends LitElement {
  static override styles = [
    shared,
    css`
      li {
        display: flex;
        justify-content: space-between;
        align-items: baseline;
        gap: var(--sg-3);
        padding: 0.375rem 0;
        border-bottom: 1px solid var(--sg-line);
        font-size: var(--sg-size-s);
        overflow-wrap: anywhere;
      }
      li:last-child {
        border-bottom: 0;
      }
      .about {
        display: block;
        color: var(--sg-ink-2);
        font-size: var(--sg-size-xs);
      }
    `,
  ];

  @property({ attribute: false }) files: readonly ResultFile[] = [];
  @property({ attribute: false }) address: (name: string) => string = (name) => name;

  override render(): TemplateResult {
    const single = this.files.filter((file) => !file.name.includes("/"));
    const folders = new Map<string, ResultFile[]>();
    for (const file of this.files) {
      const at = file.name.indexOf("/");
      if (at > 0) {
        const name = file.name.slice(0, at);
        folders.set(name, [...(folders.get(name) ?? []), file]);
      }
    }
    const line = (name: unknown, about: string, size: number): TemplateResult =>
      html`<li>
        <span>${name}${about ? html`<span class="about">${about}</span>` : nothing}</span
        ><span class="muted numbers nowrap">${bytes(size)}</span>
      </li>`;
    const link = (name: string): TemplateResult => html`<a href=${this.address(name)} download>${name}</a>`;
    return html`<ul>
      ${single.map(({ name, role, bytes: size }) => line(link(name), ROLES[role ?? ""] ?? NAMES[name] ?? "", size))}
      ${[...folders].map(([name, files]) =>
        line(
          name,
          `${ROLES[files[0]!.role ?? ""] ?? "A folder"}; in the ZIP file`,
          files.reduce((sum, file) => sum + file.bytes, 0),
        ),
      )}
    </ul>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-files": SgFiles;
  }
}
