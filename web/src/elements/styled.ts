// SPDX-License-Identifier: BSD-3-Clause
/** Styles that are computed, set one by one: the policy for content forbids `style` attributes, which lit's styleMap writes. */
import { Directive, directive, PartType, type ElementPart, type PartInfo } from "lit/directive.js";
import { noChange } from "lit";

class Styled extends Directive {
  private known = new Set<string>();

  constructor(part: PartInfo) {
    super(part);
    if (part.type !== PartType.ELEMENT)
      throw new Error("styled() belongs into the tag: <div ${styled({…})}>");
  }

  render(_styles: Record<string, string>): typeof noChange {
    return noChange;
  }

  override update(part: ElementPart, [styles]: [Record<string, string>]): typeof noChange {
    const { style } = part.element as HTMLElement;
    for (const name of this.known) if (!(name in styles)) style.removeProperty(name);
    for (const [name, value] of Object.entries(styles)) style.setProperty(name, value);
    this.known = new Set(Object.keys(styles));
    return noChange;
  }
}

export const styled = directive(Styled);
