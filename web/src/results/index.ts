// SPDX-License-Identifier: BSD-3-Clause
/** The results of one image. */
import { LitElement, html, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { shared } from "../elements/base.ts";

@customElement("sg-results")
export class SgResults extends LitElement {
  static override styles = [shared];
  @property() base = "";
  @property() run = "";
  @property({ type: Number }) number = 0;

  override render(): TemplateResult {
    return html`<h1>Results</h1>`;
  }
}
