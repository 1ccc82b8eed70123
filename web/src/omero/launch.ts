// SPDX-License-Identifier: BSD-3-Clause
/** Launching on what was selected in OMERO.web: one page, nothing to type. */
import { css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import {
  Problem,
  type Grant,
  type LaunchBody,
  type Publish,
  type SelectedImage,
  type Selection,
  type Task,
} from "../api.ts";
import { trouble } from "../elements/small.ts";
import { NO_GRANT } from "../launch/facts.ts";
import { forecast } from "../launch/forecast.ts";
import { LaunchPage } from "../launch/page.ts";
import { stated } from "../launch/stated.ts";
import "../launch/tray.ts";
import { go, paths } from "../router.ts";
import { many } from "../words.ts";
import { OmeroFrame, numberOf } from "./frame.ts";
import "./grant.ts";
import type { SgOmeroGrant } from "./grant.ts";
import "./images.ts";
import type { Plane } from "./images.ts";
import { PLAIN, tagFault } from "./publish.ts";
import "./publish.ts";

/** How many images one request names: addresses have an end. */
const AT_ONCE = 200;

/** `selection-url` says which images were selected; `from` and `only` as in `LaunchPage`. */
@customElement("sg-omero-launch")
export class SgOmeroLaunch extends OmeroFrame {
  static override styles = [
    ...OmeroFrame.styles,
    css`
      .page {
        padding: var(--sg-5) var(--sg-5) 0;
        min-height: calc(100dvh - 3.5rem);
      }
      .inner {
        max-width: var(--sg-width);
        margin: 0 auto;
      }
    `,
  ];

  @property({ attribute: "selection-url" }) selectionUrl = "";
  @property() from = "";
  @property() only = "";

  override connectedCallback(): void {
    super.connectedCallback();
    this.addEventListener("sg-go", this.#go);
  }

  override disconnectedCallback(): void {
    this.removeEventListener("sg-go", this.#go);
    super.disconnectedCallback();
  }

  #go = (event: Event): void => {
    location.assign(this.addressOf((event as CustomEvent<{ path: string }>).detail.path));
  };

  protected override content(): TemplateResult {
    return html`<main class="inner">
      ${
        this.launches
          ? html`<sg-omero-choice
              base=${this.base}
              selection-url=${this.selectionUrl}
              from=${this.from}
              only=${this.only}
            ></sg-omero-choice>`
          : html`<sg-notice kind="empty" sign="person" heading="You may look at runs, but not launch any"
              >Whoever looks after slidegate here can change that for ${this.session!.person}.<a
                slot="do"
                class="button"
                href=${this.addressOf("/runs")}
                >Go to the runs</a
              ></sg-notice
            >`
      }
    </main>`;
  }
}

/** The page itself, for who may launch. */
@customElement("sg-omero-choice")
export class SgOmeroChoice extends LaunchPage {
  static override styles = [
    ...LaunchPage.styles,
    css`
      :host {
        min-height: 0;
        gap: var(--sg-5);
      }
      sg-tray {
        margin: 0 calc(-1 * var(--sg-3));
        padding: var(--sg-4) var(--sg-3);
      }
      sg-omero-publish {
        margin-top: var(--sg-5);
      }
      .waits {
        display: grid;
        gap: var(--sg-3);
      }
    `,
  ];

  @property({ attribute: "selection-url" }) selectionUrl = "";
  @state() private selection: Selection | null = null;
  @state() private unread: Problem | null = null;
  @state() private without: ReadonlySet<string> = new Set();
  @state() private planes: ReadonlyMap<string, Plane> = new Map();
  @state() private publish: Publish = PLAIN;
  @state() private grant: Grant | null = null;
  /** It is known that slidegate may look at images. */
  @state() private open = false;
  @query("sg-omero-grant") private granting?: SgOmeroGrant;

  override connectedCallback(): void {
    super.connectedCallback();
    this.facts.hold(!this.open);
    this.facts.addEventListener("closed", () => void this.granting?.look());
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("selectionUrl") && !this.from) void this.#read([this.selectionUrl]);
    if (changed.has("failed") && this.failed?.code === NO_GRANT) void this.granting?.look();
    if (this.choice.settled && this.open) this.estimateSoon();
  }

  /** Ask what was selected. */
  async #read(urls: readonly string[]): Promise<void> {
    this.unread = null;
    try {
      const parts: Selection[] = [];
      for (const url of urls) parts.push(await this.api.selection(url));
      const groups = new Map(parts.flatMap((part) => part.groups.map((group) => [group.id, group] as const)));
      this.selection = { images: parts.flatMap((part) => part.images), groups: [...groups.values()] };
      this.facts.want(this.usable.keys());
    } catch (thrown) {
      this.unread = Problem.from(thrown);
    }
  }

  protected override async take(tasks: Task[]): Promise<void> {
    const planes = new Map<string, Plane>();
    for (const { image } of tasks) {
      const found = /^([^#]+)#z=(\d+),t=(\d+)$/.exec(image);
      if (found) planes.set(found[1]!, { z: Number(found[2]), t: Number(found[3]) });
    }
    this.planes = planes;
    const numbers = [...new Set(tasks.map((task) => numberOf(task.image)).filter(Boolean))];
    const urls: string[] = [];
    for (let i = 0; i < numbers.length; i += AT_ONCE)
      urls.push(`${this.selectionUrl.split("?")[0]}?image=${numbers.slice(i, i + AT_ONCE).join(",")}`);
    await this.#read(urls);
  }

  #named = ({ image }: SelectedImage): string => {
    const plane = this.planes.get(image);
    return plane ? `${image}#z=${plane.z},t=${plane.t}` : image;
  };

  /** What is wrong with an image, as far as is known; empty where nothing is. */
  #why(each: SelectedImage): string {
    if (!each.usable) return each.why || "It cannot be used.";
    return this.facts.get(this.#named(each))?.problem?.message ?? "";
  }

  #granted(grant: Grant | null): void {
    this.grant = grant;
    this.open = !grant?.needed || grant.granted;
    this.facts.hold(!this.open);
  }

  get #stacks(): SelectedImage[] {
    return (this.selection?.images ?? []).filter((each) => each.usable && each.planes);
  }

  /** Those that are not left out by the person, nor for want of a plane. */
  get #chosen(): SelectedImage[] {
    return (this.selection?.images ?? []).filter(
      (each) => each.usable && !this.without.has(each.image) && (!each.planes || this.planes.has(each.image)),
    );
  }

  protected override get usable(): ReadonlyMap<string, string> {
    const good = this.#chosen.filter((each) => !this.#why(each));
    return new Map(good.map((each) => [this.#named(each), each.name]));
  }

  protected override get body(): LaunchBody {
    return { ...super.body, publish: this.publish };
  }

  protected override get reason(): string {
    if (!this.open)
      return this.grant
        ? "Let slidegate work in OMERO for you first."
        : "Asking whether slidegate may work in OMERO…";
    return super.reason || tagFault(this.publish.tags);
  }

  protected override leave(run: string): void {
    go(this, paths.run(run));
  }

  #chose(chosen: ReadonlyMap<string, string>): void {
    const gone = this.#chosen.filter((each) => !chosen.has(this.#named(each)));
    this.without = new Set([...this.without, ...gone.map((each) => each.image)]);
  }

  #planed(planes: ReadonlyMap<string, Plane>): void {
    this.planes = planes;
    this.facts.want(this.usable.keys());
  }

  #none(): TemplateResult {
    const words = this.from
      ? "The images of that run are not there any more, or you may not use them."
      : "Select images or datasets in OMERO.web, and choose “Run on cluster” from “Open with”.";
    return html`<sg-notice kind="empty" heading="No image is selected">${words}</sg-notice>`;
  }

  #page(selection: Selection): TemplateResult {
    const { workflow, values } = this.choice;
    const chosen = this.#chosen;
    const good = chosen.filter((each) => !this.#why(each));
    const groups = new Map(selection.groups.map((group) => [group.id, group.name]));
    const said = stated(this.usable, (image) => this.facts.get(image), workflow?.schema, values);
    const used = [...new Set(good.map((each) => groups.get(each.group) ?? ""))].filter(Boolean);
    const more = html`<sg-omero-publish
      .publish=${this.publish}
      .workflow=${workflow}
      .groups=${used}
      @sg-publish=${(event: CustomEvent<{ publish: Publish }>) => (this.publish = event.detail.publish)}
    ></sg-omero-publish>`;
    return html`<sg-omero-images
        base=${this.base}
        .images=${good}
        .unusable=${selection.images.flatMap((each) => (this.#why(each) ? [{ ...each, why: this.#why(each) }] : []))}
        .stacks=${this.#stacks}
        .planes=${this.planes}
        .groups=${groups}
        .facts=${this.facts}
        .named=${this.#named}
        left=${this.without.size}
        @sg-back=${() => (this.without = new Set())}
        @sg-without=${(event: CustomEvent<{ image: string }>) => (this.without = new Set(this.without).add(event.detail.image))}
        @sg-planes=${(event: CustomEvent<{ planes: ReadonlyMap<string, Plane> }>) => this.#planed(event.detail.planes)}
      ></sg-omero-images>
      ${
        good.length || this.#stacks.length
          ? html`${this.problem ? trouble(this.problem, () => void this.begin()) : nothing}
              ${this.failed && !this.failed.errors.length ? trouble(this.failed) : nothing}
              ${this.settings(said, more)}
              <sg-tray
                base=${this.base}
                settings
                alone
                .chosen=${new Map(chosen.map((each) => [this.#named(each), each.name]))}
                .facts=${this.facts}
                reason=${this.reason}
                doubt=${said.doubt}
                forecast=${forecast(this.estimate)}
                .launching=${this.launching}
                @sg-chosen=${(event: CustomEvent<{ chosen: ReadonlyMap<string, string> }>) => this.#chose(event.detail.chosen)}
                @sg-launch=${() => void this.launch()}
              ></sg-tray>`
          : this.without.size
            ? nothing
            : html`<sg-notice
                kind="warn"
                heading=${selection.images.length === 1 ? "The selected image cannot be used" : `None of the ${many(selection.images.length, "selected image")} can be used`}
                >Above is said why. Select others in OMERO.web.</sg-notice
              >`
      }
      ${this.knownBefore()}`;
  }

  override render(): TemplateResult {
    const { selection, unread } = this;
    return html`<h1>Run on cluster</h1>
      <sg-omero-grant
        base=${this.base}
        @sg-granted=${(event: CustomEvent<{ grant: Grant | null }>) => this.#granted(event.detail.grant)}
      ></sg-omero-grant>
      ${
        unread
          ? trouble(unread, () => void (this.from ? this.begin() : this.#read([this.selectionUrl])))
          : selection
            ? selection.images.length
              ? this.#page(selection)
              : this.#none()
            : this.problem
              ? trouble(this.problem, () => void this.begin())
              : html`<div class="waits" role="status">
                  <span class="muted">Asking OMERO what is selected…</span
                  ><sg-progress label="Asking OMERO"></sg-progress>
                </div>`
      }`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-omero-launch": SgOmeroLaunch;
    "sg-omero-choice": SgOmeroChoice;
  }
}
