// SPDX-License-Identifier: BSD-3-Clause
/** Runs, one Run, and results, in OMERO.web: `#/runs`, `#/runs/ID`, `#/runs/ID/results/1`. */
import { css, html, type PropertyValues, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";
import "../elements/small.ts";
import { placeOf, type Place } from "../router.ts";
import { OmeroFrame } from "./frame.ts";
import "./grant.ts";

/** Each page is fetched when it is first shown. */
const LOAD: Record<string, () => Promise<unknown>> = {
  runs: () => import("../runs/runs.ts"),
  run: () => import("../run/run.ts"),
  results: () => import("../results/index.ts"),
};

const here = (): Place => {
  const place = placeOf(location.hash.slice(1) || "/runs");
  return place.page in LOAD ? place : { page: "runs" };
};

@customElement("sg-omero-runs")
export class SgOmeroRuns extends OmeroFrame {
  static override styles = [
    ...OmeroFrame.styles,
    css`
      .page {
        padding: var(--sg-5) var(--sg-5) var(--sg-6);
        min-height: calc(100dvh - 5.5rem);
      }
      .inner {
        max-width: var(--sg-width);
        margin: 0 auto;
      }
      .inner.wide {
        max-width: none;
        --sg-results-height: max(34rem, calc(100dvh - 9rem));
      }
      .inner:focus {
        outline: none;
      }
      sg-omero-grant {
        margin-top: var(--sg-6);
      }
    `,
  ];

  @state() private place: Place = here();
  @state() private ready = "";

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener("hashchange", this.#moved);
    this.addEventListener("sg-go", this.#go);
    this.place = here();
  }

  override disconnectedCallback(): void {
    window.removeEventListener("hashchange", this.#moved);
    this.removeEventListener("sg-go", this.#go);
    super.disconnectedCallback();
  }

  #go = (event: Event): void => {
    location.assign(this.addressOf((event as CustomEvent<{ path: string }>).detail.path));
  };

  #moved = (): void => {
    this.place = here();
    void this.updateComplete.then(() => {
      this.scrollIntoView({ block: "start" });
      this.renderRoot.querySelector<HTMLElement>("main")?.focus({ preventScroll: true });
    });
  };

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    const { page } = this.place;
    if (this.ready !== page) void LOAD[page]!().then(() => (this.ready = page));
  }

  #page(): unknown {
    const { place } = this;
    if (this.ready !== place.page) return this.waits();
    switch (place.page) {
      case "run":
        return html`<sg-run base=${this.base} run=${place.run}></sg-run>`;
      case "results":
        return html`<sg-results base=${this.base} run=${place.run} number=${place.number}></sg-results>`;
      default:
        return html`<sg-runs
            base=${this.base}
            person=${this.session!.person}
            group=${this.session!.group}
            how="Select images or datasets in OMERO.web, and choose “Run on cluster” from “Open with”: the run appears here, and its results on the images."
          ></sg-runs>
          <sg-omero-grant base=${this.base}></sg-omero-grant>`;
    }
  }

  protected override content(): TemplateResult {
    return html`<main class="inner ${this.place.page === "results" ? "wide" : ""}" tabindex="-1">
      ${this.#page()}
    </main>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-omero-runs": SgOmeroRuns;
  }
}
