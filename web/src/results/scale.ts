// SPDX-License-Identifier: BSD-3-Clause
/** The scale bar, and a page without styles that its policy forbids. */

/** OpenSeadragon adds a style to the page unless it finds one, which the policy for content forbids: let it find one. */
export function keepStyleOut(): void {
  if (document.querySelector("style[data-openseadragon-mobile-css]")) return;
  const stand = document.createElementNS("urn:slidegate", "style");
  stand.setAttribute("data-openseadragon-mobile-css", "true");
  document.head.append(stand);
}

/** A bar of a round length that is at most 150 pixels wide. */
export function scaleBar(ratio: number, micrometres: number | null): { width: number; words: string } {
  const perPixel = micrometres ?? 1;
  const most = (150 / ratio) * perPixel;
  const ten = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((step) => step * ten).find((step) => step <= most) ?? ten;
  const words =
    micrometres === null
      ? `${length} px`
      : length >= 1000
        ? `${length / 1000} mm`
        : `${Number(length.toPrecision(1))} µm`;
  return { width: (length / perPixel) * ratio, words };
}
