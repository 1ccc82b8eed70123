// SPDX-License-Identifier: BSD-3-Clause
import { LitElement, html, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { shared } from "../elements/base.ts";

@customElement("sg-run")
export class SgRun extends LitElement {
  static override styles = [shared];
  @property() base = "";
  @property() run = "";

  override render(): TemplateResult {
    return html`<h1>run</h1>`;
  }
}
