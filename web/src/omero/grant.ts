// SPDX-License-Identifier: BSD-3-Clause
/** Letting slidegate work in OMERO in one's name, where that needs a session of one's own; and taking it back. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { Api, Problem, type Grant } from "../api.ts";
import { shared } from "../elements/base.ts";
import "../elements/small.ts";
import { trouble } from "../elements/small.ts";
import { moment } from "../words.ts";

const AGAIN = 3000;

/**
 * Fires `sg-granted` with {grant} whenever it is known anew, null where it cannot be. Draws nothing where no session is
 * needed. `look()` asks again.
 */
@customElement("sg-omero-grant")
export class SgOmeroGrant extends LitElement {
  static override styles = [
    shared,
    css`
      .card {
        display: grid;
        gap: var(--sg-4);
      }
      form {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-3);
        align-items: end;
      }
      form > div {
        flex: 0 1 20rem;
        display: grid;
        gap: var(--sg-1);
      }
      p {
        max-width: 46rem;
      }
      .given {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-2) var(--sg-4);
        align-items: center;
        justify-content: space-between;
      }
    `,
  ];

  @property() base = "";
  @state() private grant: Grant | null = null;
  @state() private problem: Problem | null = null;
  @state() private busy = false;
  @query("input") private field?: HTMLInputElement;

  private again: ReturnType<typeof setTimeout> | undefined;

  override disconnectedCallback(): void {
    clearTimeout(this.again);
    super.disconnectedCallback();
  }

  private get api(): Api {
    return Api.at(this.base);
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("base")) void this.look();
  }

  /** Ask how it stands. */
  async look(): Promise<void> {
    clearTimeout(this.again);
    try {
      this.grant = await this.api.omeroGrant();
    } catch (thrown) {
      if (Problem.from(thrown).passes) {
        if (this.isConnected) this.again = setTimeout(() => void this.look(), AGAIN);
        return;
      }
      this.grant = null; // what is asked for next says what is wrong
    }
    this.dispatchEvent(new CustomEvent("sg-granted", { detail: { grant: this.grant } }));
  }

  /** Do something, and ask what that has changed. */
  async #do(what: () => Promise<void>): Promise<void> {
    this.busy = true;
    this.problem = null;
    try {
      await what();
      await this.look();
    } catch (thrown) {
      this.problem = Problem.from(thrown);
    }
    this.busy = false;
  }

  #submit = (event: Event): void => {
    event.preventDefault();
    const password = this.field?.value ?? "";
    if (!password || this.busy) return;
    void this.#do(async () => {
      await this.api.grant(password);
      this.field!.value = "";
    });
  };

  #ask(grant: Grant): TemplateResult {
    return html`<section class="card" aria-labelledby="g">
      <div>
        <h2 id="g">Let slidegate work in OMERO for you</h2>
        <p class="muted">
          Runs read your images and write results in your name, also when you have signed out. For that,
          slidegate needs a session of your own in OMERO. Your password opens it once and is not kept; you can
          take the session back at any time, and then runs that still need it stop.
        </p>
      </div>
      <form @submit=${this.#submit}>
        <div>
          <label for="password">Password of ${grant.name ?? "your account"} in OMERO</label>
          <input id="password" type="password" autocomplete="current-password" required />
        </div>
        <button class="primary" aria-disabled=${this.busy ? "true" : "false"}>
          ${this.busy ? "Asking OMERO…" : "Permit"}
        </button>
      </form>
      ${trouble(this.problem)}
    </section>`;
  }

  #given(grant: Grant): TemplateResult {
    const until = grant.ends_at ? `until ${moment(grant.ends_at)}` : "until you take it back";
    return html`<div class="given">
        <p class="muted small">slidegate may work in OMERO for you, ${until}.</p>
        <button
          class="quiet"
          aria-disabled=${this.busy ? "true" : "false"}
          @click=${() => !this.busy && void this.#do(() => this.api.revoke())}
        >
          Take the permission back
        </button>
      </div>
      ${trouble(this.problem)}`;
  }

  protected override updated(): void {
    this.hidden = !this.grant?.needed;
  }

  override render(): TemplateResult | typeof nothing {
    const { grant } = this;
    if (!grant?.needed) return nothing;
    return grant.granted ? this.#given(grant) : this.#ask(grant);
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-omero-grant": SgOmeroGrant;
  }
}
