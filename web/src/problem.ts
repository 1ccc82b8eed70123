// SPDX-License-Identifier: BSD-3-Clause
/** Why a request did not succeed, in words for the person at the screen. */
export class Problem extends Error {
  override name = "Problem";
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    readonly errors: { name: string; message: string }[] = [],
    readonly request: string | null = null,
  ) {
    super(detail || title);
  }

  /** It may be gone when the same is asked again in a moment. */
  get passes(): boolean {
    return this.status === 0 ? this.code === "no-answer" : this.status === 429 || this.status >= 502;
  }

  /** What anything that was thrown says to a person. */
  static from(thrown: unknown): Problem {
    if (thrown instanceof Problem) return thrown;
    return new Problem(
      0,
      "page-failed",
      "This page made a mistake.",
      "Load it again. If it happens again, tell whoever runs slidegate here.",
    );
  }
}
