// SPDX-License-Identifier: BSD-3-Clause
import { show } from "./theme.ts";
import "./app.ts";

show();
