// SPDX-License-Identifier: BSD-3-Clause
/** What becomes of results in OMERO. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Publish, Workflow } from "../api.ts";
import { shared } from "../elements/base.ts";

export const PLAIN: Publish = { objects: "sample", labels: "none", tags: [] };
const MOST_TAGS = 10;
const LONGEST = 100;

type Choice<T extends string> = readonly [T, string, string];
const OBJECTS: readonly Choice<Publish["objects"]>[] = [
  ["sample", "Some of them", "Up to 500, as ROIs on the image. The table has all."],
  [
    "all-on-duplicate",
    "All, on a duplicate",
    "Also every one as a ROI on a duplicate of each image: viewers take long to load many.",
  ],
];
const LABELS: readonly Choice<Publish["labels"]>[] = [
  ["none", "None", "Results stay small."],
  ["attachment", "As a file", "Attached to the image, as a zip of OME-Zarr."],
  ["image", "As an image", "An image of its own, beside the one it was made from."],
];

/** What speaks against tags, in a sentence; empty where nothing does. */
export function tagFault(tags: readonly string[]): string {
  if (tags.length > MOST_TAGS) return `Use at most ${MOST_TAGS} tags.`;
  const long = tags.find((tag) => tag.length > LONGEST);
  return long ? `A tag has at most ${LONGEST} characters.` : "";
}

/** `publish` is what is chosen; fires `sg-publish` with {publish}. */
@customElement("sg-omero-publish")
export class SgOmeroPublish extends LitElement {
  static override styles = [
    shared,
    css`
      .card {
        display: grid;
        gap: var(--sg-4);
      }
      fieldset {
        border: 0;
        padding: 0;
        margin: 0;
        display: grid;
        gap: var(--sg-2);
        min-width: 0;
      }
      legend {
        padding: 0;
        margin-bottom: var(--sg-2);
        font-weight: 580;
        font-size: var(--sg-size-s);
      }
      .choice {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: 0 var(--sg-3);
        font-weight: 400;
        cursor: pointer;
      }
      .choice b {
        font-weight: 580;
      }
      .choice span {
        grid-column: 2;
      }
      .tags {
        display: grid;
        gap: var(--sg-1);
      }
      .fault {
        color: var(--sg-bad);
        font-size: var(--sg-size-s);
        font-weight: 550;
      }
    `,
  ];

  @property({ attribute: false }) publish: Publish = PLAIN;
  @property({ attribute: false }) workflow: Workflow | null = null;
  /** The groups of the images. */
  @property({ attribute: false }) groups: readonly string[] = [];
  @state() private text: string | null = null;

  #tell(change: Partial<Publish>): void {
    this.publish = { ...this.publish, ...change };
    this.dispatchEvent(new CustomEvent("sg-publish", { detail: { publish: this.publish } }));
  }

  #tags = (event: Event): void => {
    this.text = (event.target as HTMLInputElement).value;
    const tags = this.text.split(",").map((tag) => tag.trim().replace(/\s+/g, " "));
    this.#tell({ tags: [...new Set(tags.filter(Boolean))] });
  };

  #has(type: string): boolean {
    return Object.values(this.workflow?.outputs ?? {}).some((output) => output.type.startsWith(type));
  }

  #choices<N extends "objects" | "labels">(
    name: N,
    legend: string,
    all: readonly Choice<Publish[N]>[],
  ): TemplateResult {
    return html`<fieldset>
      <legend>${legend}</legend>
      ${all.map(
        ([value, title, about]) =>
          html`<label class="choice"
            ><input
              type="radio"
              name=${name}
              .checked=${this.publish[name] === value}
              @change=${() => this.#tell({ [name]: value })}
            /><b>${title}</b><span class="muted small">${about}</span></label
          >`,
      )}
    </fieldset>`;
  }

  override render(): TemplateResult {
    const { groups } = this;
    const where =
      groups.length > 1
        ? `in the group of each image (${groups.join(", ")})`
        : groups.length
          ? `in the group ${groups[0]}`
          : "in its group";
    const fault = tagFault(this.publish.tags);
    return html`<section class="card" aria-labelledby="o">
      <div>
        <h2 id="o">Results in OMERO</h2>
        <p class="muted small">
          They are written to OMERO, onto each image and ${where}, as yours: tables, files, and key-value
          pairs that say how they were made. Your images are not changed, and Undo takes everything away
          again.
        </p>
      </div>
      ${this.#has("table/objects") ? this.#choices("objects", "Outlines of what is found", OBJECTS) : nothing}
      ${this.#has("labels") ? this.#choices("labels", "Label image", LABELS) : nothing}
      <div class="tags">
        <label for="tags">Tags for images that are finished</label>
        <p class="muted small" id="about-tags">None, or some with commas between them.</p>
        <input
          id="tags"
          autocomplete="off"
          .value=${this.text ?? this.publish.tags.join(", ")}
          aria-describedby=${fault ? "about-tags fault-tags" : "about-tags"}
          aria-invalid=${fault ? "true" : nothing}
          @input=${this.#tags}
        />
        <p class="fault" id="fault-tags" aria-live="polite" ?hidden=${!fault}>${fault}</p>
      </div>
    </section>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-omero-publish": SgOmeroPublish;
  }
}
