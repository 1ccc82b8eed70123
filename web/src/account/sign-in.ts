// SPDX-License-Identifier: BSD-3-Clause
/** Signing in with a name and a password. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { Api, Problem } from "../api.ts";
import { shared } from "../elements/base.ts";
import { trouble } from "../elements/small.ts";

/** Fires `sg-signed-in`. */
@customElement("sg-sign-in")
export class SgSignIn extends LitElement {
  static override styles = [
    shared,
    css`
      .card {
        max-width: 25rem;
        margin: 8vh auto 0;
        padding: var(--sg-6);
        display: grid;
        gap: var(--sg-5);
      }
      h1 {
        font-size: var(--sg-size-xl);
      }
      form {
        display: grid;
        gap: var(--sg-4);
      }
      .field {
        display: grid;
        gap: var(--sg-1);
      }
    `,
  ];

  @property() base = "";
  @state() private busy = false;
  @state() private problem: Problem | null = null;
  private readonly used = new URLSearchParams(location.search).get("problem") === "link-used";

  override render(): TemplateResult {
    return html`<div class="card">
      <h1>Sign in</h1>
      ${this.used && !this.problem ? html`<sg-notice kind="warn" heading="This link has been used, or is too old">Each link opens the pages once, within five minutes. Type <code>slidegate serve</code> again: it prints another.</sg-notice>` : nothing}
      ${trouble(this.problem)}
      <form @submit=${this.#submit}>
        <div class="field">
          <label for="person">Name</label
          ><input
            id="person"
            name="person"
            autocomplete="username"
            required
            maxlength="200"
            autocapitalize="none"
            spellcheck="false"
          />
        </div>
        <div class="field">
          <label for="password">Password</label
          ><input
            id="password"
            name="password"
            type="password"
            autocomplete="current-password"
            required
            maxlength="1000"
          />
        </div>
        <button class="primary large" ?disabled=${this.busy}>${this.busy ? "Signing in…" : "Sign in"}</button>
      </form>
      <p class="muted small">
        No account, or the password forgotten? Ask whoever runs slidegate here: they can make one or set a new
        one. On your own computer, open the link that <code>slidegate serve</code> printed.
      </p>
    </div>`;
  }

  override firstUpdated(): void {
    this.renderRoot.querySelector("input")?.focus();
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const data = new FormData(event.target as HTMLFormElement);
    this.busy = true;
    this.problem = null;
    try {
      await Api.at(this.base).signIn(String(data.get("person")), String(data.get("password")));
      this.dispatchEvent(new CustomEvent("sg-signed-in"));
    } catch (thrown) {
      this.problem = Problem.from(thrown);
    }
    this.busy = false;
  }
}
