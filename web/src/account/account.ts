// SPDX-License-Identifier: BSD-3-Clause
/** One's own account: password, colours, keys for programs, addresses that are told when a run ends, signing out. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { Api, Problem, type Session, type Token, type Webhook } from "../api.ts";
import { shared } from "../elements/base.ts";
import { icon } from "../elements/icon.ts";
import { trouble } from "../elements/small.ts";
import { setTheme, theme, type Theme } from "../theme.ts";
import { moment, ROLES } from "../words.ts";

/** Fires `sg-left` when the person signed out. */
@customElement("sg-account")
export class SgAccount extends LitElement {
  static override styles = [
    shared,
    css`
      h1 {
        margin-bottom: var(--sg-5);
      }
      .card {
        display: grid;
        gap: var(--sg-4);
        max-width: 52rem;
        margin-bottom: var(--sg-5);
      }
      li {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: var(--sg-3);
        align-items: center;
        padding: var(--sg-3) 0;
        border-bottom: 1px solid var(--sg-line);
        overflow-wrap: anywhere;
      }
      form {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto auto;
        gap: var(--sg-3);
        align-items: end;
      }
      form div {
        display: grid;
        gap: var(--sg-1);
      }
      form select {
        min-width: 9rem;
      }
      form.password {
        grid-template-columns: minmax(0, 22rem);
        gap: var(--sg-4);
      }
      .password button {
        justify-self: start;
      }
      .check {
        display: inline-flex;
        gap: var(--sg-2);
        align-items: center;
        font-weight: 500;
      }
      .secret {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-2);
        align-items: center;
        margin-top: var(--sg-2);
      }
      .secret code {
        background: var(--sg-surface);
        padding: var(--sg-2) var(--sg-3);
        border-radius: var(--sg-radius-s);
        overflow-wrap: anywhere;
        user-select: all;
      }
      @media (max-width: 42rem) {
        form {
          grid-template-columns: 1fr;
        }
      }
    `,
  ];

  @property() base = "";
  @state() private session: Session | null = null;
  @state() private tokens: Token[] = [];
  @state() private hooks: Webhook[] = [];
  @state() private problem: Problem | null = null;
  @state() private made: { what: "token" | "hook"; secret: string; copied: boolean } | null = null;
  @state() private look: Theme = theme();
  @state() private refused = "";
  @state() private changed = false;
  @state() private seen = false;

  private get api(): Api {
    return Api.at(this.base);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#load();
  }

  async #load(): Promise<void> {
    try {
      this.session = await this.api.session();
      const may = (what: string): boolean => this.session!.may.includes(what);
      [this.tokens, this.hooks] = await Promise.all([
        may("tokens.use") ? this.api.tokens() : [],
        may("webhooks.use") ? this.api.webhooks() : [],
      ]);
      this.problem = null;
    } catch (thrown) {
      this.problem = Problem.from(thrown);
    }
  }

  async #do(what: () => Promise<unknown>): Promise<void> {
    try {
      await what();
      await this.#load();
    } catch (thrown) {
      this.problem = Problem.from(thrown);
    }
  }

  #addToken(event: SubmitEvent): void {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const data = new FormData(form);
    const days = String(data.get("days"));
    void this.#do(async () => {
      const { token } = await this.api.makeToken(String(data.get("name")), days ? Number(days) : null);
      this.made = { what: "token", secret: token, copied: false };
      form.reset();
    });
  }

  #addHook(event: SubmitEvent): void {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    void this.#do(async () => {
      const { secret } = await this.api.addWebhook(String(new FormData(form).get("url")));
      this.made = { what: "hook", secret, copied: false };
      form.reset();
    });
  }

  async #changePassword(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const data = new FormData(form);
    this.changed = false;
    this.refused = "";
    try {
      await this.api.changePassword(String(data.get("current")), String(data.get("new")));
      form.reset();
      this.seen = false;
      this.changed = true;
    } catch (thrown) {
      const { code, detail, title } = Problem.from(thrown);
      this.refused =
        code === "wrong-current-password" ? "The present password is not right." : detail || title;
    }
  }

  #shown(what: "token" | "hook", words: string): TemplateResult | typeof nothing {
    const { made } = this;
    if (made?.what !== what) return nothing;
    const copy = (): void => {
      void navigator.clipboard?.writeText(made.secret).then(
        () => (this.made = { ...made, copied: true }),
        () => undefined,
      );
    };
    return html`<sg-notice kind="good" heading="Copy it now: it is shown this once"
      >${words}
      <div class="secret">
        <code>${made.secret}</code><button @click=${copy}>${made.copied ? "Copied" : "Copy"}</button>
      </div></sg-notice
    >`;
  }

  #password(): TemplateResult {
    return html`<section class="card" aria-labelledby="p">
      <div>
        <h2 id="p">Password</h2>
        <p class="muted small">Changing it signs you out everywhere else.</p>
      </div>
      ${this.changed ? html`<sg-notice kind="good" heading="Your password is changed"></sg-notice>` : nothing}
      ${this.refused ? html`<sg-notice kind="bad" heading=${this.refused}></sg-notice>` : nothing}
      <form class="password" @submit=${this.#changePassword}>
        <input hidden autocomplete="username" value=${this.session!.person} />
        <div>
          <label for="pc">Present password</label
          ><input
            id="pc"
            name="current"
            type="password"
            required
            maxlength="1000"
            autocomplete="current-password"
          />
        </div>
        <div>
          <label for="pn">New password</label
          ><input
            id="pn"
            name="new"
            type=${this.seen ? "text" : "password"}
            required
            minlength="10"
            maxlength="200"
            autocomplete="new-password"
            autocapitalize="none"
            spellcheck="false"
            aria-describedby="pl"
          /><span id="pl" class="muted small">At least 10 characters.</span>
        </div>
        <label class="check"
          ><input
            type="checkbox"
            .checked=${this.seen}
            @change=${(event: Event) => (this.seen = (event.target as HTMLInputElement).checked)}
          />
          Show the new password</label
        >
        <button>Change the password</button>
      </form>
    </section>`;
  }

  #tokenList(): TemplateResult {
    return html`<section class="card" aria-labelledby="t">
      <div>
        <h2 id="t">Keys for programs</h2>
        <p class="muted small">
          A script or the slidegate command shows such a key to act for you. Take one back, and it opens
          nothing any more.
        </p>
      </div>
      ${this.#shown("token", "Whoever has this key can do what you can do.")}
      ${
        this.tokens.length
          ? html`<ul aria-label="Keys">
              ${this.tokens.map(
                (token) =>
                  html`<li>
                    <span
                      ><b>${token.name}</b><br /><span class="muted small"
                        >Made ${moment(token.at)},
                        ${token.used_at ? `last used ${moment(token.used_at)}` : "not used so far"},
                        ${token.ends_at ? `ends ${moment(token.ends_at)}` : "does not end by itself"}</span
                      ></span
                    >
                    <button
                      class="quiet danger"
                      aria-label="Take back the key ${token.name}"
                      @click=${() => void this.#do(() => this.api.revokeToken(token.id))}
                    >
                      Take back
                    </button>
                  </li>`,
              )}
            </ul>`
          : nothing
      }
      <form @submit=${this.#addToken}>
        <div>
          <label for="tn">What it is for</label
          ><input id="tn" name="name" required maxlength="100" placeholder="My notebook" autocomplete="off" />
        </div>
        <div>
          <label for="td">Ends after</label
          ><select id="td" name="days">
            <option value="30">30 days</option>
            <option value="90" selected>90 days</option>
            <option value="365">A year</option>
            <option value="">Never</option>
          </select>
        </div>
        <button>${icon("plus", 16)} Make a key</button>
      </form>
    </section>`;
  }

  #hookList(): TemplateResult {
    return html`<section class="card" aria-labelledby="w">
      <div>
        <h2 id="w">Tell another program when a run ends</h2>
        <p class="muted small">
          slidegate calls this address when one of your runs ends, and signs what it says.
        </p>
      </div>
      ${this.#shown("hook", "The other program checks with it that a call is really from here.")}
      ${
        this.hooks.length
          ? html`<ul aria-label="Addresses">
              ${this.hooks.map((hook) => html`<li><span>${hook.url}</span><button class="quiet danger" aria-label="Stop telling ${hook.url}" @click=${() => void this.#do(() => this.api.removeWebhook(hook.id))}>Stop telling</button></li>`)}
            </ul>`
          : nothing
      }
      <form @submit=${this.#addHook}>
        <div>
          <label for="hu">Address</label
          ><input
            id="hu"
            name="url"
            type="url"
            required
            maxlength="2000"
            placeholder="https://"
            autocomplete="off"
          />
        </div>
        <span></span><button>${icon("plus", 16)} Add</button>
      </form>
    </section>`;
  }

  override render(): TemplateResult {
    const { session } = this;
    const looks: [Theme, string][] = [
      ["system", "Automatic"],
      ["light", "Light"],
      ["dark", "Dark"],
    ];
    return html`<h1>Your account</h1>
      ${trouble(this.problem, this.session ? undefined : () => void this.#load())}
      ${
        session
          ? html`<section class="card">
                <div class="row spread">
                  <div>
                    <h2>${session.person}</h2>
                    <p class="muted small">
                      ${ROLES[session.role][0]}:
                      ${ROLES[session.role][1]}.${session.group ? ` Group ${session.group}.` : ""}
                    </p>
                  </div>
                  <button
                    @click=${() =>
                      void this.api.signOut().then(
                        () => this.dispatchEvent(new CustomEvent("sg-left")),
                        (thrown: unknown) => (this.problem = Problem.from(thrown)),
                      )}
                  >
                    Sign out
                  </button>
                </div>
              </section>
              <section class="card">
                <h2 id="c">Colours</h2>
                <span class="switch" role="group" aria-labelledby="c"
                  >${looks.map(
                    ([name, word]) =>
                      html`<button
                        aria-pressed=${this.look === name ? "true" : "false"}
                        @click=${() => {
                          this.look = name;
                          setTheme(name);
                        }}
                      >
                        ${word}
                      </button>`,
                  )}</span
                >
              </section>
              ${session.has_password ? this.#password() : nothing}
              ${session.may.includes("tokens.use") ? this.#tokenList() : nothing}
              ${session.may.includes("webhooks.use") ? this.#hookList() : nothing}`
          : nothing
      }`;
  }
}
