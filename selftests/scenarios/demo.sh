#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Proves that the demo works.
# TIMEOUT=120
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"

check "demo: a page is rewritten on its way" "$here/../tools/examples/demo.sh"
